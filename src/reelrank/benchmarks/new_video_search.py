"""How soon a new video is found by vector search in a running system: published at one replica, looked for at another, no index rebuilt."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.scratch import Scratch, TooSlow, scratch_system, second_replica
from reelrank.benchmarks.trained_towers import TrainedTowers
from reelrank.candidates.build_index import IndexConfig
from reelrank.candidates.followed_index import VectorsConfig
from reelrank.candidates.nearest import TWO_TOWER, user_vector
from reelrank.config import Settings
from reelrank.domain.event import History, VideoPublished
from reelrank.domain.params import FeedParams
from reelrank.domain.video import Video
from reelrank.models.ranker_inputs import VideoTraits
from reelrank.models.tower_session import TowerSession
from reelrank.simulation.client import FeedClient

_EXACT_UP_TO = 1_000  # videos: more are frozen, as they are where there are a million
_QUOTA, _SLATE = 200, 50
_WATCHED = 20  # videos in the past of each viewer
_GIVE_UP_S = 20.0
_NEAREST_ALONE = {name: _QUOTA if name == "nearest" else 0 for name in FeedParams().quota}
# the newest of what vector search proposes come first, so that one is shown as soon as it is found
_PARAMS = FeedParams(quota=_NEAREST_ALONE, exploration=0.0, freshness_weight=1_000.0, freshness_half_life_s=3_600.0, stale_after_s=100 * 365 * 86_400.0)


class _Viewer(NamedTuple):
    """Somebody, and the row of the video whose description alone lies nearest to them."""

    user_id: str
    like: int


def measure(towers: TrainedTowers, publications: int, on_progress: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """Milliseconds from the 202 of a new video until an answer shows it that nothing but vector search proposes for."""
    settings = Settings(params=_PARAMS, index=IndexConfig(vectors=VectorsConfig(exact_up_to=_EXACT_UP_TO)))
    with scratch_system(settings, retries=0) as system, second_replica(system) as replica:
        system.publish(towers.videos)
        viewers = list(_viewers(system, towers, publications))
        system.inside.artifacts.publish(TWO_TOWER, time.time(), lambda folder: _copied(towers.folder, folder))
        built = system.inside.vector_builder.build()
        for client in (system.client, replica):
            _until(lambda client=client: client.feed(viewers[0].user_id, _SLATE)["videos"], "the towers and their index were not in use")
        found_ms = []
        for number, viewer in enumerate(viewers):
            found_ms.append(_trial(system.client, replica, viewer, f"new-{number}", towers.videos[viewer.like]))
            on_progress(1)
        versions = system.inside.artifacts.versions(f"{TWO_TOWER}_index")
        if len(versions) != 1:
            raise TooSlow(f"the index was built {len(versions)} times while new videos were looked for")
    return {**spread(found_ms), "publications": publications, "catalogue": len(towers.videos), "index": built}


def _viewers(system: Scratch, towers: TrainedTowers, count: int) -> Iterator[_Viewer]:
    """People who watched long what somebody might, each with a video of whose kind a new one lies among their nearest."""
    rng, inside = np.random.default_rng(0), system.inside
    watched = [rng.choice(len(towers.videos), _WATCHED, replace=False) for _ in range(count)]
    events = []
    for number, rows in enumerate(watched):
        names = tuple(towers.videos[row].video_id for row in rows)
        events.append(History(event_id=f"past-{number}", user_id=f"viewer-{number}", occurred_at=time.time(), watched=names, long_viewed=names))
    system.client.post_events(events)
    system.wait_folded()
    inside.columns.refresh()
    _check_order(towers.videos, inside.columns.videos)
    session, videos = TowerSession(towers.folder), len(towers.videos)
    told = [column[:videos] for column in VideoTraits.of(inside.columns)]
    again = VideoTraits._make(np.concatenate([column, column]) for column in told)  # the second half are new videos, of which only the description is known
    described = session.videos(np.arange(videos, 2 * videos), again)
    for number in range(count):
        user = user_vector(session, inside.reader.user(f"viewer-{number}"), time.time(), inside.columns)
        assert user is not None, "a viewer has a past"
        yield _Viewer(f"viewer-{number}", int(np.argmax(described @ user)))


def _trial(publisher: FeedClient, viewer: FeedClient, who: _Viewer, name: str, like: Video) -> float:
    """Milliseconds from the 202 of a video that is described as `like` is, until the viewer's feed has it."""
    video = msgspec.structs.replace(like, video_id=name, uploaded_at=time.time(), caption="")
    publisher.post_events([VideoPublished(event_id=f"publish {name}", video=video)])
    accepted = time.perf_counter()
    _until(lambda: any(shown["video_id"] == name for shown in viewer.feed(who.user_id, _SLATE)["videos"]), f"the video {name} was not found")
    return (time.perf_counter() - accepted) * 1000


def _until(holds: Callable[[], object], otherwise: str) -> None:
    began = time.perf_counter()
    while not holds():
        if time.perf_counter() - began > _GIVE_UP_S:
            raise TooSlow(f"{otherwise} after {_GIVE_UP_S:.0f} s")
        time.sleep(0.005)


def _check_order(ours: list[Video], theirs: Sequence[Video]) -> None:
    """Vectors are by row: what was published must have the rows that it was trained with."""
    if [video.video_id for video in ours] != [video.video_id for video in theirs[: len(ours)]]:
        raise TooSlow("the running system gave the videos other rows than the towers were trained with")


def _copied(source: Path, folder: Path) -> None:
    shutil.copytree(source, folder, dirs_exist_ok=True)

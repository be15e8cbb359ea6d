"""How long from a finished watch until the ranker that serves says something else, with history and features held fixed.

A small deployment runs all its roles. A replica follows rows exactly as `serve` does and scores one question again and
again: the same user, an empty history, the same features. So what changes its answer is rows that were learned, and
nothing else.
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.scratch import Scratch, TooSlow, scratch_system
from reelrank.config import Settings
from reelrank.domain.event import Event, Impression, Skip, Watch
from reelrank.features.attribution import AttributionConfig
from reelrank.features.definitions import WIDTH
from reelrank.features.side_by_side import SideBySide
from reelrank.features.tokens import Tokens
from reelrank.models.ranker_inputs import RankerSettings, VideoTraits
from reelrank.models.sessions import RankerSession
from reelrank.ranking.ranker_scorer import published_ranker
from reelrank.serving.hot_swap import HotSwap
from reelrank.simulation.world import World
from reelrank.storage.lake import LakeConfig
from reelrank.training.log_examples import is_reserved
from reelrank.training.online_config import TrainConfig
from reelrank.training.retrain_ranker import RANKER
from reelrank.training.train_role import STATUS_FILE

GIVE_UP_S = 10.0
_ROLES = ("stream", "lake", "train", "serve")
_COUNT = 10  # videos in a slate
_LOOK_S = 0.002  # between two scores
_NONE = np.empty(0, dtype=np.int64)
_EMPTY = Tokens(np.zeros(2, dtype=np.int64), _NONE, np.empty(0, dtype=np.uint8), np.empty(0, dtype=np.float32), np.empty(0), _NONE)


def measure(trials: int = 100, videos: int = 200, visitors: int = 300, seed: int = 0, on_progress: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """Watches, one after the other, each until the score of its video has changed."""
    rng = np.random.default_rng(seed)
    world = World.from_seed(seed, videos=videos, users=100, authors=max(2, videos // 5), now=time.time())
    train = TrainConfig(ranker=RankerSettings(epochs=1, pretrain_epochs=0, admit_after=1), ranker_every_s=0, two_tower_every_s=0, min_examples=100)
    settings = Settings(train=train, lake=LakeConfig(flush_s=0.5), attribution=AttributionConfig(window_s=60.0))
    with scratch_system(settings, _ROLES) as system:
        system.publish(list(world.videos))
        for visitor in range(visitors):
            _visit(system, f"visitor-{visitor}", rng)
            on_progress(1)
        _wait(lambda: _copied(system), "the lake did not copy what the visitors did")
        verdict = system.inside.retraining.retrain(RANKER)
        published = published_ranker(system.inside.artifacts)
        swap = HotSwap(published, system.inside.log)
        _wait(lambda: _status(system).get("base") == verdict.version and _status(system).get("waiting") == 0, "the role train did not take up the ranker")
        done: list[float] = []
        with SideBySide({"hot-swap": lambda ended: swap.follow(ended.is_set)}):
            _wait(lambda: published.value is not None, "nothing was published")
            for trial in range(trials):
                done.append(_trial(system, published.value, trial))  # pyright: ignore[reportArgumentType]
                on_progress(1)
    return {
        "trials": len(done),
        "unchanged": sum(ms >= GIVE_UP_S * 1000 for ms in done),
        "watch_to_score_ms": spread(done),
        "rows_every_s": settings.train.online.rows_every_s,
        "updates": swap.updates,
        "rows": swap.rows,
        "ranker": str(verdict),
        "videos": videos,
        "visitors": visitors,
        "seed": seed,
        "give_up_s": GIVE_UP_S,
    }


def _visit(system: Scratch, user_id: str, rng: np.random.Generator) -> None:
    """Somebody goes through a slate; every second video is watched long more often."""
    slate = system.client.feed(user_id, _COUNT)
    events: list[Event] = []
    for video in slate["videos"]:
        about = {"user_id": user_id, "video_id": video["video_id"], "request_id": slate["request_id"], "position": video["position"]}
        events.append(Impression(event_id=f"i-{user_id}-{video['position']}", **about))
        if rng.random() < (0.8 if sum(video["video_id"].encode()) % 2 else 0.3):
            events.append(Watch(event_id=f"w-{user_id}-{video['position']}", watched_s=float(rng.uniform(18, 30)), **about))
        else:
            events.append(Skip(event_id=f"s-{user_id}-{video['position']}", watched_s=float(rng.uniform(0, 2)), **about))
    system.client.post_events(events)


def _trial(system: Scratch, session: RankerSession, number: int) -> float:
    """Milliseconds from the watch's end until the score of its video changes."""
    slate = _learned_slate(system, number)
    video = slate["videos"][0]
    columns = system.inside.columns
    columns.refresh()
    row, traits = np.array([columns.rows[video["video_id"]]]), VideoTraits.of(columns)
    features = np.zeros((1, WIDTH), dtype=np.float32)

    def score() -> dict[str, float]:
        said = session.score(slate["user_id"], session.encode(_EMPTY, traits), row, features, 0, slate["now"], traits)
        return {head: float(values[0]) for head, values in said.items()}

    _settled(score)
    before, began = score(), time.perf_counter()
    about = {"user_id": slate["user_id"], "video_id": video["video_id"], "request_id": slate["request_id"], "position": 0}
    system.client.post_events([Watch(event_id=f"trial-{number}", watched_s=25.0, **about)])
    while (took_s := time.perf_counter() - began) < GIVE_UP_S:
        if score() != before:
            break
        time.sleep(_LOOK_S)
    return took_s * 1000


def _learned_slate(system: Scratch, number: int) -> dict[str, Any]:
    """A slate that is not one of those from which nobody learns."""
    for again in range(100):
        slate = system.client.feed(f"trial-{number}-{again}", _COUNT)
        if not is_reserved(slate["user_id"], slate["now"]):
            return slate
    raise TooSlow("a hundred slates in a row were reserved")


def _settled(score: Callable[[], dict[str, float]]) -> None:
    """Returns once the score has stood still: what others did has been learned."""
    last, since = score(), time.perf_counter()
    while time.perf_counter() - since < 1.0:
        time.sleep(0.02)
        if (now := score()) != last:
            last, since = now, time.perf_counter()


def _copied(system: Scratch) -> bool:
    lake, log = system.inside.lake, system.inside.log
    status = lake.status("examples", [f"examples-{partition}" for partition in range(log.partitions)])
    ends = {f"examples-{partition}": log.end("examples", partition) for partition in range(log.partitions)}
    return status.rows > 0 and status.positions == ends


def _status(system: Scratch) -> dict[str, Any]:
    file = system.inside.train_folder / STATUS_FILE
    return msgspec.json.decode(file.read_bytes()) if file.exists() else {}


def _wait(what: Callable[[], bool], problem: str, within_s: float = 120.0) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        if time.monotonic() > deadline:
            raise TooSlow(f"{problem} within {within_s:.0f} s")
        time.sleep(0.1)

"""The ranker in a feed: with an artifact it has the last word, without one nothing changes, and its failures are nobody else's."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from conftest import NOW
from models.small_towers import planted_towers
from ranking.small_ranker import write_ranker
from reelrank.candidates.nearest import TWO_TOWER
from reelrank.domain.candidate import HEADS, WATCH_S
from reelrank.domain.event import Served, ServedVideo
from reelrank.domain.params import FeedParams
from reelrank.feed import FeedRequest
from reelrank.ranking.answered_slate import Slate
from reelrank.ranking.ranker_scorer import RANKER
from reelrank.training.export_two_tower import export
from small_feed import SmallApp, in_log

LATER = NOW + 60.0
LIGHT = {"click", "long_view", "like"}


@pytest.fixture
def app(open_system: Callable[..., object]) -> SmallApp:
    app = SmallApp(open_system)
    app.watches("u", 1, 5, 9)
    app.watches("w", 2, 3, watched_s=1.0)
    app.clock.advance_to(LATER)  # what was watched just now is no history yet
    return app


def publish(app: SmallApp, write: Callable[[Path], None] = write_ranker, made_at: float = NOW) -> str:
    version = app.system.artifacts.publish(RANKER, made_at, write).manifest.version
    app.system.feed.refresh()
    return version


def slate_of(app: SmallApp, user_id: str = "u") -> tuple[Slate, Served]:
    """A slate without chance, and what the log keeps of it."""
    app.system.feed.refresh()
    slate = app.system.feed.recommend(FeedRequest(user_id=user_id, seed=1, exploration=False), app.clock.now())
    app.system.feed.flush()
    return slate, next(event for event in in_log(app.system) if isinstance(event, Served) and event.request_id == slate.request_id)


def order(slate: Slate) -> list[int]:
    return [place.row for place in slate.places]


def test_without_an_artifact_the_light_score_ranks(app: SmallApp) -> None:
    slate, served = slate_of(app)
    assert (slate.ranked_by, slate.degraded, RANKER in slate.models) == ("quality_taste", [], False)
    assert all(shown.predictions.keys() == LIGHT for shown in served.videos)


def test_a_published_ranker_predicts_every_head_and_the_seconds_and_is_named(app: SmallApp) -> None:
    version = publish(app)
    slate, served = slate_of(app)
    assert (slate.ranked_by, slate.models[RANKER], served.models[RANKER]) == (RANKER, version, version)
    assert "score ranker" in slate.stages
    weights = FeedParams().value
    for shown in served.videos:
        assert shown.predictions.keys() == {*HEADS, WATCH_S}
        assert all(0 < shown.predictions[head] < 1 for head in HEADS)
        assert 0 < shown.predictions[WATCH_S] < 60
    for shown in served.videos:
        worth = sum(weight * shown.predictions[head] for head, weight in weights.items())
        assert shown.score is not None and shown.score >= np.log(worth) - 0.01  # lifted, never lowered


def test_somebody_new_is_ranked_too(app: SmallApp) -> None:
    publish(app)
    slate, _ = slate_of(app, "nobody")
    assert (slate.ranked_by, slate.degraded, len(slate.places)) == (RANKER, [], 10)


def test_another_version_takes_over_whole_and_a_rollback_brings_the_one_before_back(app: SmallApp) -> None:
    first = publish(app)
    before, served_before = slate_of(app, "w")
    second = publish(app, lambda folder: write_ranker(folder, seed=1), made_at=NOW + 1)
    assert (before.models[RANKER], slate_of(app)[0].models[RANKER]) == (first, second)
    app.system.artifacts.roll_back(RANKER, first)
    app.clock.advance_to(LATER + 400.0)  # what was served lately may be served again
    again, served_again = slate_of(app, "w")
    assert again.models[RANKER] == first
    assert {shown.video_id for shown in served_again.videos} == {shown.video_id for shown in served_before.videos}


def test_a_ranker_with_features_of_another_release_is_refused_and_the_feed_goes_on(app: SmallApp, caplog: pytest.LogCaptureFixture) -> None:
    def of_another_release(folder: Path) -> None:
        write_ranker(folder)
        told = msgspec.json.decode((folder / "ranker.json").read_bytes())
        (folder / "ranker.json").write_bytes(msgspec.json.encode(told | {"features_version": "another"}))

    publish(app, of_another_release)
    app.system.feed.refresh()
    slate, _ = slate_of(app)
    assert (slate.ranked_by, slate.degraded, len(slate.places)) == ("quality_taste", [], 10)
    assert app.system.ranker.refused == 1
    assert caplog.text.count("features of version another") == 1


def test_a_ranker_that_predicts_what_is_no_number_is_left_out_and_the_answer_says_so(app: SmallApp) -> None:
    app.system.feed.params = msgspec.structs.replace(app.system.feed.params, served_again_after_s=0.0)  # both slates at one moment
    light, _ = slate_of(app, "w")
    publish(app)
    session = app.system.ranker.value
    assert session is not None
    with session.tables.live.held() as tables:
        tables["video"].weights[:] = float("nan")
    slate, served = slate_of(app, "w")
    assert (slate.degraded, slate.ranked_by, RANKER in served.models) == (["the ranker is away"], "quality_taste", False)
    assert order(slate) == order(light)
    assert all(shown.predictions.keys() == LIGHT for shown in served.videos)
    (shown,) = app.system.feed.score_shown([Served(event_id="x", user_id="u", policy="other", videos=(ServedVideo(video_id="v1"),))], [LATER])
    assert shown.videos[0].predictions.keys() == LIGHT


def test_what_another_policy_showed_is_ranked_exactly_as_in_a_feed(app: SmallApp) -> None:
    version = publish(app)
    _, ours = slate_of(app)
    shown = msgspec.structs.replace(ours, event_id="x", videos=tuple(ServedVideo(video_id=one.video_id) for one in ours.videos))
    stranger = Served(event_id="y", user_id="w", policy="other", videos=(ServedVideo(video_id="v1"),))
    nothing = Served(event_id="z", user_id="w", policy="other", videos=())
    _, scored, empty, _ = app.system.feed.score_shown([stranger, shown, nothing, stranger], [LATER] * 4)
    for one, other in zip(scored.videos, ours.videos, strict=True):
        assert one.predictions == pytest.approx(other.predictions, rel=1e-5)
        assert one.score == pytest.approx(other.score, rel=1e-5)
    assert (scored.models[RANKER], empty.videos) == (version, ())


def test_only_the_best_by_the_light_score_go_to_the_ranker(app: SmallApp) -> None:
    publish(app)
    app.system.feed.params = FeedParams(ranked=12)
    slate, served = slate_of(app)
    assert slate.stages["shorten"]["out"] == slate.stages["select slate"]["in"] == 12
    assert len(served.videos) == 10


_SERVES = """
import sys
from pathlib import Path
import msgspec
from reelrank.config import Settings
from reelrank.domain.clock import ManualClock
from reelrank.feed import FeedRequest
from reelrank.serving.app import create_app
from reelrank.serving.server import run
from reelrank.wiring import open_reelrank
system = open_reelrank(msgspec.convert({"data_dir": sys.argv[1]}, Settings), ManualClock(float(sys.argv[2])))
create_app(system.services)
slate = system.feed.recommend(FeedRequest(user_id="u"), float(sys.argv[2]))
system.close()
assert slate.ranked_by == "ranker" and "two_tower" in slate.models and not slate.degraded, slate
print(sorted({"torch", "lightgbm", "onnx", "matplotlib"} & set(sys.modules)))
"""


def test_a_serving_process_retrieves_and_ranks_without_torch(app: SmallApp) -> None:
    publish(app)
    app.system.artifacts.publish(TWO_TOWER, NOW, lambda folder: export(planted_towers([row % 2 for row in range(40)]), 8, folder))
    app.system.close()
    done = subprocess.run([sys.executable, "-c", _SERVES, app.system.settings.data_dir, str(LATER)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"

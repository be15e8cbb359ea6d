"""A slate made again: the same while everything is on record, and told apart by what is not."""

import shutil
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest

from conftest import _Quiet
from ranking.small_ranker import SETTINGS, write_ranker
from reelrank.benchmarks.slate_rerun import Explained, NotExplained, explain
from reelrank.candidates.co_watched import ITEM_TO_ITEM
from reelrank.domain.event import Block, Topic, VideoRemoved
from reelrank.domain.rule import RuleDraft
from reelrank.feed import FeedRequest
from reelrank.models.id_tables import Changes
from reelrank.models.row_updates import ROWS_FROM, RowUpdate, encode_updates
from reelrank.ranking.answered_slate import Slate
from reelrank.ranking.ranker_scorer import RANKER
from reelrank.storage.event_log import MODEL_ROWS, Record
from reelrank.wiring import Reelrank
from small_feed import SmallApp, numbers


@pytest.fixture
def app(open_system: Callable[..., Reelrank]) -> SmallApp:
    """People who watched, an index made of it, rules, and somebody with wishes."""
    app = SmallApp(open_system)
    for number in range(30):
        app.watches(f"u{number}", *range(number % 4, 40, 4))
    app.watches("ana", 1, 5, 2)
    app.tell(Topic(event_id="t1", user_id="ana", topic="bread", wish="more"), Block(event_id="b1", user_id="ana", what="author", name="cats-0"))
    app.system.index_builder.build()
    app.system.rules.add(RuleDraft(action="boost", target="tag", name="surf", times=1.5), "test", app.clock.now())
    app.system.rules.add(RuleDraft(action="pin", target="video", name="v39", position=1), "test", app.clock.now())
    app.system.rule_book.refresh()
    return app


def served(app: SmallApp, **more: object) -> Slate:
    app.system.feed.refresh()
    slate = app.system.feed.recommend(FeedRequest(user_id="ana", count=10, **more), app.clock.now())
    app.system.feed.flush()
    return slate


def again(app: SmallApp, slate: Slate) -> Explained:
    return explain(app.system, slate.request_id, _Quiet())


def life_goes_on(app: SmallApp) -> None:
    app.clock.advance_to(app.clock.now() + 3_600)
    app.watches("ana", 9, 13, 17)
    app.watches("bob", *range(0, 40, 3), watched_s=1.0)
    app.system.index_builder.build()
    for rule in app.system.rules.all():
        app.system.rules.remove(rule.rule_id, "test", app.clock.now())
    app.system.rule_book.refresh()


def test_a_slate_comes_out_the_same_whatever_happened_since(app: SmallApp) -> None:
    slates = [served(app), served(app, exploration=False), served(app, personalized=False)]
    life_goes_on(app)
    assert served(app).places != slates[0].places
    for slate in slates:
        found = again(app, slate)
        assert found.differences == ()
        assert found.same
        assert [place.video_id for place in found.again] == [app.system.columns.videos[place.row].video_id for place in slate.places]
        assert [place.score for place in found.again] == [place.score for place in slate.places]
        assert [place.propensity for place in found.again] == [place.propensity for place in slate.places]
        assert all(sum(place.parts.values()) == pytest.approx(place.score) for place in found.again)
    first = again(app, slates[0])
    assert first.removed["by a blocked author"] == 5
    assert sum(first.candidates.values()) >= 35
    assert first.again[1].reason.startswith("pinned by rule r-")
    assert {"boosted", "wished"} <= {name for place in first.again for name in place.parts}


def test_a_video_that_was_taken_down_since_is_named(app: SmallApp) -> None:
    slate = served(app, exploration=False)
    first = app.system.columns.videos[slate.places[0].row].video_id
    app.tell(VideoRemoved(event_id=f"r{next(numbers)}", video_id=first))
    found = again(app, slate)
    assert not found.same
    assert found.differences[0].startswith(f"place 1: {first} was served, v")
    assert found.missing == (f"video {first} was taken down since",)


def test_a_model_that_is_not_kept_any_more_is_named(app: SmallApp) -> None:
    slate = served(app, exploration=False)
    version = slate.models[ITEM_TO_ITEM]
    kept = app.system.artifacts.version(ITEM_TO_ITEM, version)
    assert kept is not None
    shutil.rmtree(kept.folder)
    assert again(app, slate).missing == (f"{ITEM_TO_ITEM} {version} is not kept any more: the slate is made without it",)


def test_what_is_no_slate_is_told(app: SmallApp) -> None:
    with pytest.raises(NotExplained, match="'nonsense' is no request id of this deployment"):
        explain(app.system, "nonsense", _Quiet())
    made_up = served(app).request_id[:-3] + "000"
    with pytest.raises(NotExplained, match="the log holds no slate"):
        explain(app.system, made_up, _Quiet())


def test_a_slate_out_of_what_waited_from_an_earlier_request_comes_out_the_same(app: SmallApp) -> None:
    first = served(app)
    app.clock.advance_to(app.clock.now() + 2)
    app.watches("ana", first.places[0].row, watched_s=1.0)
    waited = served(app)
    assert waited.kept
    life_goes_on(app)
    found = again(app, waited)
    assert (found.differences, found.same) == ((), True)
    assert not {place.row for place in first.places} & {place.row for place in waited.places}


def test_what_somebody_says_and_a_new_rule_throw_away_what_waited(app: SmallApp) -> None:
    served(app)
    app.clock.advance_to(app.clock.now() + 2)
    assert served(app).kept
    app.tell(Topic(event_id="t2", user_id="ana", topic="bread", wish="less", occurred_at=app.clock.now()))
    app.clock.advance_to(app.clock.now() + 2)
    assert not served(app).kept
    app.system.rules.add(RuleDraft(action="pin", target="video", name="v38"), "test", app.clock.now())
    app.system.rule_book.refresh()
    app.clock.advance_to(app.clock.now() + 2)
    slate = served(app)
    assert (slate.kept, app.system.columns.videos[slate.places[0].row].video_id) == (False, "v38")
    app.clock.advance_to(app.clock.now() + 2)
    assert not served(app, personalized=False).kept


def with_ranker(app: SmallApp) -> str:
    """The version of a ranker that is live, and learns."""
    about: dict[str, str | int | float] = {ROWS_FROM: app.system.log.end(MODEL_ROWS, 0)}
    version = app.system.artifacts.publish(RANKER, app.clock.now(), partial(write_ranker, spread=0.2), about).manifest.version
    learns(app, version, 0, 0.5)
    return version


def learns(app: SmallApp, version: str, sequence: int, value: float, videos: Sequence[int] = range(40)) -> None:
    """The rows of videos take on values, each others, and whoever serves takes them over."""
    keys = np.array(videos)
    changes = Changes(1 + keys, keys, value * np.outer(1 + keys, np.cos(np.arange(SETTINGS.width))).astype(np.float32) / 40)
    records = encode_updates(RowUpdate(version, sequence, app.clock.now(), {"video": changes}))
    app.system.log.append(MODEL_ROWS, [Record("", record, 0) for record in records])
    while app.system.hot_swap.step():
        pass


def test_a_slate_of_a_ranker_that_learns_comes_out_the_same_with_the_rows_of_then(app: SmallApp) -> None:
    first = with_ranker(app)
    app.clock.advance_to(app.clock.now() + 60.0)
    slates = [served(app)]
    for number in range(1, 4):
        app.clock.advance_to(app.clock.now() + 60.0)
        learns(app, first, number, float(number))
        slates.append(served(app))
    second = with_ranker(app)
    app.clock.advance_to(app.clock.now() + 60.0)
    slates.append(served(app))
    assert [slate.models[RANKER] for slate in slates] == [first] * 4 + [second]
    assert len({tuple(place.score for place in slate.places) for slate in slates}) == 5
    life_goes_on(app)
    for slate in slates:
        found = again(app, slate)
        assert (found.differences, found.missing) == ((), ())
        assert [place.score for place in found.again] == pytest.approx([place.score for place in slate.places], abs=1e-6)


def test_a_history_that_was_kept_from_before_rows_were_learned_is_told(app: SmallApp) -> None:
    app.clock.advance_to(app.clock.now() + 60.0)
    version = with_ranker(app)
    served(app)
    assert len(app.system.histories) == 1
    app.clock.advance_to(app.clock.now() + 1.0)
    learns(app, version, 1, 50.0, videos=(1, 5, 2))  # which ana has watched
    slate = served(app, exploration=False)  # another wish than before: it is ranked again, with the history as it was kept
    found = again(app, slate)
    assert not found.same
    assert found.missing == (
        f"ranker {version} learned rows in the 30 s before, 2 times: the history it had kept of this user may be of older ones",
    )  # fmt: skip


def test_rows_that_are_not_kept_any_more_are_told(app: SmallApp) -> None:
    version = with_ranker(app)
    learns(app, version, 1, 1.0)
    app.clock.advance_to(app.clock.now() + 60.0)
    slate = served(app)
    app.system.log.forget(MODEL_ROWS, 0, 1)
    assert again(app, slate).missing == (f"rows that ranker {version} had learned by then are not kept any more: the slate is made without them",)

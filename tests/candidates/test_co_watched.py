"""Tests of the co-watched source."""

import threading
import time

import numpy as np
import pytest

from candidates.conftest import CATS, DOGS
from candidates.small_app import HOUR, SmallApp
from reelrank.candidates.build_index import IndexBuilder, IndexConfig
from reelrank.candidates.co_watched import ITEM_TO_ITEM, CoWatchedSource, history_of, item_to_item
from reelrank.models.item_to_item import ItemToItemConfig

CONFIG = IndexConfig(item_to_item=ItemToItemConfig(ridge=1.0))  # sixteen people are few


@pytest.fixture
def source(two_circles: SmallApp) -> CoWatchedSource:
    IndexBuilder(two_circles.store, two_circles.reader, two_circles.artifacts, two_circles.clock, CONFIG).build()
    return CoWatchedSource(item_to_item(two_circles.artifacts))


def test_who_watches_cats_is_proposed_the_other_cats_first(two_circles: SmallApp, source: CoWatchedSource) -> None:
    two_circles.watches("newcomer", "cat 0", "cat 1")
    assert set(two_circles.proposed(source, "newcomer", quota=4)) == set(CATS) - {"cat 0", "cat 1"}


def test_the_last_watches_count_most(two_circles: SmallApp, source: CoWatchedSource) -> None:
    videos = [*DOGS[:3], "cat 0", "cat 1"]
    two_circles.watches("newcomer", *videos)
    rows, amounts = history_of(two_circles.user("newcomer"))
    assert rows.tolist() == sorted(rows.tolist())
    assert dict(zip(rows.tolist(), amounts, strict=True))[1] == max(amounts)
    assert amounts.dtype == np.float32


def test_a_like_speaks_louder_than_a_long_view_and_that_louder_than_a_skip(app: SmallApp) -> None:
    app.publish(*CATS)
    app.skips("ana", "cat 0")
    app.watches("ben", "cat 0", watched_s=1.0)
    app.watches("cem", "cat 0")
    app.watches("dua", "cat 0")
    app.likes("dua", "cat 0")
    amounts = [float(history_of(app.user(user_id))[1][0]) for user_id in ("ana", "ben", "cem", "dua")]
    assert amounts == sorted(set(amounts))


def test_what_was_seen_does_not_waste_the_quota(two_circles: SmallApp, source: CoWatchedSource) -> None:
    two_circles.watches("newcomer", "cat 0")
    proposed = two_circles.proposed(source, "newcomer", quota=20)
    assert "cat 0" not in proposed
    assert set(proposed[:5]) == set(CATS) - {"cat 0"}


def test_nothing_is_proposed_to_somebody_new_or_before_there_is_a_model(two_circles: SmallApp, source: CoWatchedSource) -> None:
    assert two_circles.proposed(source, "nobody") == []
    two_circles.artifacts.root = two_circles.artifacts.root / "elsewhere"
    without = CoWatchedSource(item_to_item(two_circles.artifacts))
    assert two_circles.proposed(without, "cat person 0") == []
    assert without.strength(two_circles.user("cat person 0"), np.arange(3))[0].tolist() == [0, 0, 0]


def test_the_strength_is_higher_for_a_neighbour_than_for_a_stranger_and_zero_for_the_unknown(two_circles: SmallApp, source: CoWatchedSource) -> None:
    two_circles.watches("newcomer", "cat 0")
    (unknown,) = two_circles.publish("a video of today")
    cat, dog = two_circles.columns.rows["cat 3"], two_circles.columns.rows["dog 3"]
    strength, _ = source.strength(two_circles.user("newcomer"), np.array([cat, dog, unknown]))
    assert strength[0] > strength[1]
    assert strength[2] == 0


def test_the_same_state_gives_the_same_proposal(two_circles: SmallApp, source: CoWatchedSource) -> None:
    two_circles.watches("newcomer", "cat 0", "dog 0")
    again = CoWatchedSource(item_to_item(two_circles.artifacts))
    assert two_circles.proposed(source, "newcomer", seed=1) == two_circles.proposed(again, "newcomer", seed=2)


def test_a_model_swapped_in_the_middle_of_requests_is_seen_whole_or_not_at_all(two_circles: SmallApp, source: CoWatchedSource) -> None:
    two_circles.watches("newcomer", "cat 0")
    builder = IndexBuilder(two_circles.store, two_circles.reader, two_circles.artifacts, two_circles.clock, CONFIG)
    before = two_circles.proposed(source, "newcomer", quota=20)
    answers: set[tuple[str, ...]] = set()
    problems: list[BaseException] = []
    stop = threading.Event()
    query = two_circles.query("newcomer")

    def ask() -> None:
        try:
            while not stop.is_set():
                answers.add(tuple(two_circles.columns.videos[row].video_id for row in source.propose(query, 20).rows))
        except BaseException as problem:
            problems.append(problem)

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    allowed = {tuple(before)}
    for number in range(5):
        two_circles.clock.advance_to(two_circles.clock.now() + HOUR)
        new = f"cat of hour {number}"
        two_circles.publish(new)
        two_circles.watches("cat person 0", new)
        two_circles.watches("cat person 1", new)
        builder.build()
        source.refresh()
        expected = tuple(two_circles.columns.videos[row].video_id for row in source.propose(query, 20).rows)
        allowed.add(expected)
        deadline = time.monotonic() + 10
        while expected not in answers and time.monotonic() < deadline:
            time.sleep(0.001)
    stop.set()
    for thread in asking:
        thread.join(10)
    assert problems == []
    assert answers <= allowed
    assert len(answers) > 1
    assert len(two_circles.artifacts.versions(ITEM_TO_ITEM)) <= two_circles.artifacts.keep


def test_a_request_ends_with_the_version_it_began_with(two_circles: SmallApp, source: CoWatchedSource) -> None:
    two_circles.watches("newcomer", "cat 0")
    query, rows = two_circles.query("newcomer"), np.arange(two_circles.columns.count)
    proposal = source.propose(query, 20)
    known, spoke = source.strength(query.user, rows, proposal.models)
    assert spoke == proposal.models
    assert spoke.keys() == {ITEM_TO_ITEM}
    two_circles.watches("cat person 0", *DOGS)
    IndexBuilder(two_circles.store, two_circles.reader, two_circles.artifacts, two_circles.clock, CONFIG).build()
    source.refresh()
    still, said = source.strength(query.user, rows, proposal.models)
    assert (still.tolist(), said) == (known.tolist(), spoke)
    newer, now = source.strength(query.user, rows)
    assert now != spoke
    assert newer.tolist() != known.tolist()

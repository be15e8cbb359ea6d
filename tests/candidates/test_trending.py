"""Tests of the trending board and its three sources."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candidates.conftest import DOGS
from candidates.small_app import DAY, HOUR, START, SmallApp
from features.counted import added
from reelrank.candidates import board as board_file
from reelrank.candidates import tracked
from reelrank.candidates.board import trend
from reelrank.candidates.tracked import engagement
from reelrank.candidates.trending import TrendingBoard, TrendingPlaceSource, TrendingSource, TrendingTagSource, favourite_tags
from reelrank.domain.clock import ShiftedClock
from reelrank.domain.event import Context, Like, Skip, Watch
from reelrank.features import windows
from reelrank.features.windows import Counter
from reelrank.storage import counter_store
from reelrank.storage.event_log import StorageError


def board_of(app: SmallApp) -> TrendingBoard:
    board = TrendingBoard(app.reader, app.columns, app.clock)
    board.refresh()
    return board


def counted(*videos: list[tuple[Counter, float, int]]) -> np.ndarray:
    """The counters of videos, given as (counter, seconds ago, amount)."""
    state = np.zeros((len(videos), windows.WIDTH), dtype=np.int32)
    return added(state, [(place, START - ago_s, counter, amount) for place, video in enumerate(videos) for counter, ago_s, amount in video])


def test_what_is_engaged_with_now_trends_over_what_was_last_week() -> None:
    state = counted([(Counter.LONG_VIEWS, 5 * DAY, 60)], [(Counter.LONG_VIEWS, HOUR / 2, 60)], [(Counter.LONG_VIEWS, 60.0, 60)])
    assert np.argsort(trend(engagement(state, START))).tolist() == [0, 1, 2]


def test_on_a_quiet_log_the_week_and_then_all_time_decide() -> None:
    week = trend(engagement(counted([(Counter.LONG_VIEWS, 4 * DAY, 2)], [(Counter.LONG_VIEWS, 4 * DAY, 5)]), START))
    ever = trend(engagement(counted([(Counter.LONG_VIEWS, START, 2)], [(Counter.LONG_VIEWS, START, 5)]), START))  # a history without times
    assert week[0] < week[1]
    assert ever[0] < ever[1]


def test_one_long_view_does_not_make_a_trend() -> None:
    steady = [(Counter.LONG_VIEWS, day * DAY + HOUR * hour, 5) for day in range(6) for hour in range(0, 24, 3)]
    state = counted(steady, [(Counter.LONG_VIEWS, 10.0, 1)])
    assert trend(engagement(state, START))[0] > trend(engagement(state, START))[1]


def test_a_like_counts_more_than_a_long_view_and_a_hide_against() -> None:
    state = counted(
        [(Counter.LONG_VIEWS, 60.0, 20)],
        [(Counter.LONG_VIEWS, 60.0, 20), (Counter.LIKES, 60.0, 5)],
        [(Counter.LONG_VIEWS, 60.0, 20), (Counter.HIDES, 60.0, 5)],
    )
    plain, liked, hidden = trend(engagement(state, START))
    assert hidden < plain < liked


def test_unlikes_without_likes_pull_nobody_down() -> None:
    watched = (Counter.LONG_VIEWS, 60.0, 20)
    plain, unliked = trend(engagement(counted([watched], [watched, (Counter.LIKES, 60.0, -5)]), START))
    assert unliked == plain


@given(st.lists(st.tuples(st.sampled_from(list(Counter)), st.floats(0, 9 * DAY), st.integers(-3, 2_000)), min_size=1, max_size=20))
def test_a_trend_is_always_a_positive_number(events: list[tuple[Counter, float, int]]) -> None:
    scores = trend(engagement(counted(events, [(Counter.IMPRESSIONS, 0.0, 1)]), START))
    assert np.isfinite(scores).all()
    assert (scores > 0).all()


PLACES = ("", "Oslo", "Lima")
ACTIONS = st.tuples(st.sampled_from([Watch, Skip, Like]), st.integers(0, 8), st.sampled_from(PLACES), st.sampled_from([0.0, 50.0, HOUR, 3 * DAY]))
STEPS = st.lists(
    st.tuples(
        st.sampled_from([5.0, 5.0, 61.0, 400.0, 2 * HOUR, 11 * HOUR, 3 * DAY, 9 * DAY, -7.0, -5 * HOUR]),  # until the next refresh
        st.lists(ACTIONS, max_size=12),
        st.sampled_from([-1, -1, -1, 0, 4]),  # a video that is taken down
    ),
    min_size=1,
    max_size=6,
)


class JumpingClock:
    """Says what it was set to, earlier than before or later."""

    at = START

    def now(self) -> float:
        return self.at


def told(board: TrendingBoard, tags: int) -> list[Any]:
    """All that a board has to say."""
    lists = [board.everywhere(), *(board.at(place) for place in PLACES), *(board.under(tag) for tag in range(tags))]
    trends = [ask(99, place) for ask in (board.videos, board.tags, board.sounds) for place in (None, *PLACES)]
    return [*(rows.tolist() for rows in lists), *trends]


@settings(max_examples=15)
@given(STEPS)
def test_a_board_that_was_kept_says_to_the_bit_what_one_says_that_is_made_from_everything(steps: list[tuple[float, list[Any], int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = SmallApp(Path(folder))
        for number in range(9):
            app.publish(f"video {number}", tags=[f"tag {number % 2}", f"tag {2 + number % 3}"])
        clock = JumpingClock()
        kept = TrendingBoard(app.reader, app.columns, clock)
        kept.refresh()
        for number, (pause_s, actions, removed) in enumerate(steps):
            app.see(
                *[
                    kind(
                        event_id=f"{number} {place}",
                        occurred_at=clock.now() - ago_s,
                        user_id=f"user {place}",
                        video_id=f"video {video}",
                        context=Context(place=where),
                        **({} if kind is Like else {"watched_s": 9.0}),
                    )
                    for place, (kind, video, where, ago_s) in enumerate(actions)
                ]
            )
            if removed >= 0:
                app.remove(f"video {removed}")
            clock.at += pause_s
            kept.refresh()
            made = TrendingBoard(app.reader, app.columns, clock)
            made.refresh()
            assert told(kept, tags=5) == told(made, tags=5)
        app.close()


def test_what_was_touched_before_a_refresh_that_failed_is_not_lost(two_circles: SmallApp, monkeypatch: pytest.MonkeyPatch) -> None:
    board = board_of(two_circles)
    for person in range(30):
        two_circles.watches(f"person {person}", "dog 4")
    two_circles.clock.advance_to(START + 6)

    def away(*_: object) -> None:
        raise StorageError("the counters are away")

    with monkeypatch.context() as patch:
        patch.setattr(two_circles.reader, "counters", away)
        with pytest.raises(StorageError):
            board.refresh()
    board.refresh()
    assert board.everywhere()[0] == two_circles.columns.rows["dog 4"]


def test_the_most_engaging_video_is_proposed_first_and_what_was_seen_or_removed_never(two_circles: SmallApp) -> None:
    two_circles.likes("dog person 0", "dog 1", "dog 2", "dog 3")
    two_circles.likes("dog person 1", "dog 1", "dog 2")
    two_circles.likes("dog person 2", "dog 1")
    source = TrendingSource(board_of(two_circles))
    assert two_circles.proposed(source, "nobody", quota=3) == ["dog 1", "dog 2", "dog 3"]
    two_circles.remove("dog 1")
    two_circles.watches("me", "dog 2")
    assert two_circles.proposed(source, "me", quota=1) == ["dog 3"]


def test_the_board_is_made_anew_only_after_its_time(two_circles: SmallApp) -> None:
    board = board_of(two_circles)
    before = board.everywhere().tolist()
    two_circles.publish("hit")
    for person in range(30):
        two_circles.watches(f"person {person}", "hit")
    board.refresh()
    assert board.everywhere().tolist() == before
    two_circles.clock.advance_to(START + 6)
    board.refresh()
    assert board.everywhere()[0] == two_circles.columns.rows["hit"]


def test_a_clock_that_is_set_back_does_not_stop_the_board(two_circles: SmallApp) -> None:
    clock = ShiftedClock(DAY)
    board = TrendingBoard(two_circles.reader, two_circles.columns, clock)
    board.refresh()
    before = board.everywhere()
    clock.shift_s = 0.0
    board.refresh()
    assert board.everywhere() is not before


def test_a_place_has_trends_of_its_own(app: SmallApp) -> None:
    app.publish("of Oslo", "of Lima", "of nowhere")
    for person in range(3):
        app.watches(f"in Oslo {person}", "of Oslo", place="Oslo")
        app.watches(f"in Lima {person}", "of Lima", place="Lima")
    app.publish("quiet")
    source = TrendingPlaceSource(board_of(app))
    assert app.proposed(source, "nobody", place="Oslo") == ["of Oslo"]
    assert app.proposed(source, "nobody", place="Atlantis") == []
    assert app.proposed(source, "nobody") == []
    app.watches("traveller", "quiet", place="Lima")
    assert app.proposed(source, "traveller") == ["of Lima"], "without a place in the query, the last one known counts"
    app.remove("of Oslo")
    assert app.proposed(source, "nobody", place="Oslo") == []


def test_asking_for_a_place_gives_it_no_row(app: SmallApp) -> None:
    app.publish("video")
    app.watches("ana", "video", place="Oslo")
    app.proposed(TrendingPlaceSource(board_of(app)), "nobody", place="typo")
    assert list(app.catalog.names("place")) == [(0, "Oslo")]


def test_the_favourite_tags_take_turns(two_circles: SmallApp) -> None:
    two_circles.watches("me", "cat 0", "cat 1", "dog 0")
    proposed = two_circles.proposed(TrendingTagSource(board_of(two_circles), two_circles.columns), "me", quota=4)
    assert [video_id[:3] for video_id in proposed] == ["cat", "dog", "cat", "dog"]


def test_a_skipped_tag_is_no_favourite(two_circles: SmallApp) -> None:
    two_circles.skips("me", *DOGS)
    two_circles.watches("me", "cat 0")
    columns = two_circles.columns
    names = dict(two_circles.catalog.names("tag"))
    assert [names[tag] for tag in favourite_tags(two_circles.user("me"), columns)] == ["cats"]
    assert favourite_tags(two_circles.user("nobody"), columns) == []


@pytest.mark.parametrize("kind", [TrendingSource, TrendingPlaceSource])
def test_an_empty_app_has_no_trends(app: SmallApp, kind: type[TrendingSource]) -> None:
    assert app.proposed(kind(board_of(app)), "me", place="Oslo") == []
    assert app.proposed(TrendingTagSource(board_of(app), app.columns), "me") == []


def test_the_board_does_not_depend_on_the_pieces_it_was_read_in(two_circles: SmallApp, monkeypatch: pytest.MonkeyPatch) -> None:
    two_circles.likes("dog person 0", "dog 1", "dog 4")
    whole = board_of(two_circles).everywhere().tolist()
    monkeypatch.setattr(tracked, "_AT_A_TIME", 5)
    assert board_of(two_circles).everywhere().tolist() == whole


def test_a_large_board_follows_what_is_touched(two_circles: SmallApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracked, "_AT_A_TIME", 2)
    monkeypatch.setattr(tracked, "_FIRST", 4)
    monkeypatch.setattr(tracked, "_AGAIN", 1)
    monkeypatch.setattr(tracked, "_LIVELY", 1)
    board, late = board_of(two_circles), board_of(two_circles)
    for _ in range(20):
        board.refresh()  # until it has read everything, it goes on at once
    for person in range(30):
        two_circles.watches(f"person {person}", "dog 4")
    two_circles.clock.advance_to(START + 6)
    board.refresh()
    assert board.everywhere()[0] == two_circles.columns.rows["dog 4"]
    for _ in range(20):
        late.refresh()
    assert board.everywhere().tolist() == late.everywhere().tolist()


def test_a_board_that_missed_too_much_reads_everything_again(two_circles: SmallApp, monkeypatch: pytest.MonkeyPatch) -> None:
    board = board_of(two_circles)
    monkeypatch.setattr(counter_store, "_TOUCHED_KEPT", 2)
    for person in range(30):
        two_circles.watches(f"person {person}", "dog 4")
    two_circles.clock.advance_to(START + 6)
    board.refresh()
    assert board.everywhere()[0] == two_circles.columns.rows["dog 4"]


def test_tags_and_sounds_trend_everywhere_and_at_a_place(app: SmallApp) -> None:
    app.publish("cat", tags=("cats", "fun"))
    app.publish("dog", tags=("dogs", "fun"))
    for person in range(9):
        app.watches(f"in Oslo {person}", "cat", place="Oslo")
    app.watches("in Lima", "dog", place="Lima")
    board = board_of(app)
    tags = app.columns.tags
    assert [tags[one.row] for one in board.tags(9)] == ["fun", "cats", "dogs"]
    assert {tags[one.row] for one in board.tags(9, "Lima")} == {"dogs", "fun"}
    assert board.tags(9, "Atlantis") == board.sounds(9) == board.sounds(9, "Oslo") == []
    assert board.tags(1)[0].velocity > board.tags(9)[2].velocity > 1
    assert [one.row for one in board.videos(9, "Oslo")] == [app.columns.rows["cat"]]


def test_where_there_is_no_room_for_all_the_strongest_are_kept(two_circles: SmallApp, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, video in enumerate(["dog 4", "cat 0", "cat 5"]):  # one is read early, one late, one in between
        for person in range(30 - place):
            two_circles.watches(f"person {place} {person}", video)
    whole = board_of(two_circles).everywhere()[:3].tolist()
    monkeypatch.setattr(board_file, "_TRACKED", dict.fromkeys(board_file._TRACKED, 3))
    monkeypatch.setattr(tracked, "_AT_A_TIME", 2)
    monkeypatch.setattr(tracked, "_FIRST", 2)
    board = board_of(two_circles)
    for _ in range(20):
        board.refresh()
    assert board.everywhere().tolist() == whole == two_circles.columns.rows_of(["dog 4", "cat 0", "cat 5"]).tolist()

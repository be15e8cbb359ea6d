from collections.abc import Callable

import numpy as np
from pyroaring import BitMap

from conftest import NOW
from ranking.conftest import DAY_S, candidates
from reelrank.domain.user import Signal, Signals, User, Watches
from reelrank.features.columns import VideoColumns
from reelrank.pipeline.stages import Filter, Query
from reelrank.ranking.filters import BlockedFilter, RemovedFilter, RepeatedFilter, SeenFilter, ServedLatelyFilter, StaleFilter

MakeQuery = Callable[..., Query]


def kept(one: Filter, query: Query, rows: list[int]) -> list[int]:
    verdict = one.judge(query, candidates(rows))
    assert verdict.reason
    return np.array(rows)[verdict.kept].tolist()


def having_watched(rows: list[int]) -> User:
    at = NOW - 100.0 + np.arange(len(rows), dtype=np.float64)
    nothing = np.zeros(len(rows))
    flags = np.zeros(len(rows), dtype=np.bool_)
    return User("u", watches=Watches(np.array(rows, dtype=np.int64), at, nothing, nothing.astype(np.int64), flags, flags))


def test_a_seen_video_is_never_shown_again(query: MakeQuery):
    assert kept(SeenFilter(), query(User("u", seen=BitMap([2, 4]))), [1, 2, 3, 4]) == [1, 3]


def test_what_still_waits_on_the_screen_is_not_served_twice_until_it_has_waited_too_long(query: MakeQuery):
    user = User("u", served_rows=np.array([1, 2]), served_at=np.array([NOW - 1_801.0, NOW - 5.0]))
    assert kept(ServedLatelyFilter(), query(user, served_again_after_s=1_800.0), [1, 2, 3]) == [1, 3]


def test_what_waited_when_something_was_liked_may_come_again(query: MakeQuery):
    liked = Signals(np.array([7]), np.array([NOW - 10.0]), np.array([int(Signal.LIKE)]))
    user = User("u", signals=liked, served_rows=np.array([1, 2]), served_at=np.array([NOW - 20.0, NOW - 5.0]))
    assert kept(ServedLatelyFilter(), query(user), [1, 2, 3]) == [1, 3]


def test_a_blocked_author_and_a_hidden_video_stay_away(query: MakeQuery, columns: VideoColumns):
    hidden = Signals(np.array([4]), np.array([NOW]), np.array([int(Signal.HIDE)]))
    user = User("u", signals=hidden, blocked=np.array([columns.authors["a0"]]))
    assert kept(BlockedFilter(columns), query(user), [0, 1, 2, 3, 4, 5]) == [1, 2, 5]


def test_a_video_that_was_taken_down_stays_away(query: MakeQuery, columns: VideoColumns):
    assert kept(RemovedFilter(columns), query(), [10, 11]) == [10]


def test_a_video_goes_stale_only_after_its_last_day(query: MakeQuery, columns: VideoColumns):
    assert kept(StaleFilter(columns), query(stale_after_s=3 * DAY_S), [2, 3, 4]) == [2, 3]


def test_an_author_who_filled_the_last_watches_pauses(query: MakeQuery, columns: VideoColumns):
    user = having_watched([0, 3, 6])  # all by a0
    assert kept(RepeatedFilter(columns), query(user, max_author_repeats=3), [9, 10]) == [10]
    assert kept(RepeatedFilter(columns), query(user, max_author_repeats=4), [9, 10]) == [9, 10]


def test_a_tag_and_a_sound_that_filled_the_last_watches_pause(query: MakeQuery, columns: VideoColumns):
    user = having_watched([1, 5])  # both odd, both to sound 1
    assert kept(RepeatedFilter(columns), query(user, max_tag_repeats=2, max_sound_repeats=9), [2, 3]) == [2]
    assert kept(RepeatedFilter(columns), query(user, max_tag_repeats=9, max_sound_repeats=2), [9, 3]) == [3]


def test_somebody_new_keeps_everything_that_is_up(query: MakeQuery, columns: VideoColumns):
    for one in (SeenFilter(), ServedLatelyFilter(), BlockedFilter(columns), StaleFilter(columns), RepeatedFilter(columns)):
        assert kept(one, query(), [0, 1, 2]) == [0, 1, 2]

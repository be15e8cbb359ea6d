"""Tests of caps, in a slate and across a visit."""

import numpy as np

from conftest import NOW
from reelrank.domain.user import User, Watches
from reelrank.features.columns import VideoColumns
from reelrank.ranking.visit_caps import Caps, shown_this_visit

MINUTE_S = 60.0


def somebody(watched: list[int], minutes_ago: list[float], served: list[int] = [], served_minutes_ago: list[float] = []) -> User:  # noqa: B006
    count = len(watched)
    watches = Watches(
        video_rows=np.array(watched, dtype=np.int64), occurred_at=NOW - MINUTE_S * np.array(minutes_ago), watched_s=np.ones(count),
        replays=np.zeros(count, dtype=np.int64), skipped=np.zeros(count, dtype=np.bool_), long_view=np.ones(count, dtype=np.bool_),
    )  # fmt: skip
    return User("u", watches=watches, served_rows=np.array(served, dtype=np.int64), served_at=NOW - MINUTE_S * np.array(served_minutes_ago))


def test_a_visit_ends_after_half_an_hour_without_anything() -> None:
    assert shown_this_visit(somebody([1, 2, 3], [80, 31, 10]), NOW).tolist() == [2, 3]
    assert shown_this_visit(somebody([1, 2, 3], [80, 45, 10]), NOW).tolist() == [3]
    assert shown_this_visit(somebody([1, 2], [80, 31]), NOW).tolist() == []
    assert shown_this_visit(User("nobody"), NOW).tolist() == []


def test_what_was_served_counts_although_it_was_not_watched_yet_and_nothing_twice() -> None:
    assert shown_this_visit(somebody([1, 2], [9, 5], served=[2, 4], served_minutes_ago=[8, 8]), NOW).tolist() == [1, 2, 4]


def test_a_base_history_is_no_visit() -> None:
    assert shown_this_visit(somebody([1, 2], [np.nan, 3]), NOW).tolist() == [2]


def test_what_was_shown_before_counts_towards_the_caps(columns: VideoColumns) -> None:
    caps = Caps(columns, np.arange(6), (2, 99, 99), shown=np.array([9]))  # by the author of 0 and 3
    assert caps.open.all()
    caps.put(0)
    assert np.flatnonzero(~caps.open).tolist() == [0, 3]
    assert np.flatnonzero(~Caps(columns, np.arange(6), (2, 99, 99), shown=np.array([6, 9])).open).tolist() == [0, 3]

"""Tests of visits and habits, from histories whose times are known."""

from collections.abc import Sequence

import numpy as np
import pytest

from features.folded_world import NOW, World
from reelrank.domain.user import User, Watches
from reelrank.features.history import Past, at_this_hour, heights_lately, past_of, settled, visits
from reelrank.features.windows import Counter

HOUR, DAY = 3_600.0, 86_400.0


def somebody(*ago_s: float, skipped: Sequence[bool] = (), heights: Sequence[int] = ()) -> User:
    """Watched so many seconds ago, oldest first; nan for no time."""
    n = len(ago_s)
    flags = np.array(skipped or [False] * n, dtype=np.bool_)
    rendition = np.array(heights or [0] * n, dtype=np.int64)
    watches = Watches(
        np.zeros(n, dtype=np.int64),
        NOW - np.array(ago_s),
        np.ones(n),
        np.zeros(n, dtype=np.int64),
        flags,
        ~flags,
        np.zeros(n),
        rendition,
        np.zeros(n, dtype=np.int64),
    )
    return User("somebody", watches)


def past(world: World, *users: User) -> Past:
    owner = np.arange(len(users))
    return past_of(world.reader.read(users, owner, np.zeros(len(users), dtype=np.int64), np.full(len(users), NOW)))


def test_a_visit_goes_on_until_half_an_hour_passes_without_a_watch(world: World) -> None:
    depth, idle_s = visits(past(world, somebody(9_000, 5_000, 1_700, 60), User("new"), somebody(1_801), somebody(2_000, 1_799), somebody(float("nan"))))
    assert depth.tolist() == [2, 0, 0, 2, 0]
    assert idle_s.tolist() == [60, -1, 1_801, 1_799, -1]


def test_one_long_visit_is_one(world: World) -> None:
    depth, _ = visits(past(world, somebody(*np.arange(100, 0, -1) * 1_000.0)))
    assert depth.tolist() == [100]


def test_habits_are_of_other_days_at_about_this_time(world: World) -> None:
    usual, share = at_this_hour(
        past(world, somebody(3 * DAY, DAY + HOUR, DAY - HOUR, 17 * HOUR, HOUR, skipped=[False, True, False, False, False]), User("new"))
    )
    assert usual[0, [Counter.CLICKS, Counter.SKIPS, Counter.LONG_VIEWS]].tolist() == [2, 1, 2]
    assert share.tolist() == [3 / 4, 0]


def test_what_was_done_in_this_half_of_the_day_has_not_settled(world: World) -> None:
    counts = settled(past(world, somebody(float("nan"), 2 * DAY, HOUR)))
    assert counts[0, Counter.CLICKS] == 2


def test_the_picture_lately_is_that_of_the_last_watches_that_say(world: World) -> None:
    many = somebody(*np.arange(30, 0, -1) * 60.0, heights=[2_160] * 10 + [0] * 5 + [720] * 10 + [1_080] * 5)
    assert heights_lately(past(world, many, User("new"), somebody(9.0))).tolist() == [pytest.approx(840), 0, 0]

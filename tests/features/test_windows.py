"""Tests of the rings of buckets against brute force."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.counted import added
from reelrank.features import windows
from reelrank.features.velocity import paces
from reelrank.features.windows import COUNTERS, WIDTH, WINDOWS, Counter, Counters

RINGS = {"5min": (60, 5), "1h": (300, 12), "1d": (10_800, 8), "7d": (86_400, 7)}  # bucket seconds, buckets
START = 1_750_000_000.0


class Increment(NamedTuple):
    place: int
    occurred_at: float
    counter: int
    amount: int


MOMENTS = st.one_of(
    st.floats(START, START + 900),
    st.floats(START, START + 86_400 * 2),
    st.floats(START - 86_400 * 40, START + 86_400 * 40),
    st.sampled_from([0.0, START - START % 86_400, 32_503_680_000.0]),
)
INCREMENTS = st.lists(st.builds(Increment, st.integers(0, 2), MOMENTS, st.sampled_from([0, 5, COUNTERS - 1]), st.integers(-3, 9)), max_size=25)


def folded(increments: list[Increment], batches: list[int]) -> Counters:
    state = np.zeros((3, WIDTH), dtype=np.int32)
    for start, end in zip([0, *batches], [*batches, len(increments)], strict=True):
        part = increments[start:end]
        state = added(state, part)
    return state


def brute_force(increments: list[Increment], name: str, now: float) -> np.ndarray:
    bucket_s, slots = RINGS[name]
    sums = np.zeros((3, COUNTERS), dtype=np.int64)
    for place, occurred_at, counter, amount in increments:
        newest = max(int(one.occurred_at) // bucket_s for one in increments if one.place == place)
        bucket = int(occurred_at) // bucket_s
        if int(now) // bucket_s - slots < bucket <= int(now) // bucket_s and bucket > newest - slots:
            sums[place, counter] += amount
    return np.maximum(sums, 0)


@settings(max_examples=150)
@given(INCREMENTS, st.data())
def test_any_order_and_any_split_into_batches_give_the_same_bits(increments: list[Increment], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(increments))
    batches = sorted(data.draw(st.lists(st.integers(0, len(increments)), max_size=4)))
    assert folded(shuffled, batches).tobytes() == folded(increments, []).tobytes()


@settings(max_examples=150)
@given(INCREMENTS, MOMENTS, st.data())
def test_a_window_holds_the_sum_of_its_buckets(increments: list[Increment], now: float, data: st.DataObject) -> None:
    state = folded(increments, sorted(data.draw(st.lists(st.integers(0, len(increments)), max_size=3))))
    for name in WINDOWS:
        assert windows.window(state, name, now).tolist() == brute_force(increments, name, now).tolist()
    sums = np.zeros((3, COUNTERS), dtype=np.int64)
    for place, _, counter, amount in increments:
        sums[place, counter] += amount
    assert windows.totals(state).tolist() == np.maximum(sums, 0).tolist()


@settings(max_examples=50)
@given(INCREMENTS, st.tuples(MOMENTS, MOMENTS, MOMENTS))
def test_each_record_may_be_read_at_its_own_moment(increments: list[Increment], moments: tuple[float, ...]) -> None:
    state = folded(increments, [])
    together = windows.window(state, "1h", np.array(moments))
    assert together.tolist() == [windows.window(state[[place]], "1h", now)[0].tolist() for place, now in enumerate(moments)]


@settings(max_examples=150)
@given(INCREMENTS, MOMENTS, st.floats(0, 1))
def test_windows_and_paces_stay_as_they_are_until_they_said(increments: list[Increment], now: float, share: float) -> None:
    state = folded(increments, [])
    until = windows.steady_until(state, now)
    assert (until > now).all()
    later = np.minimum(np.where(until == np.inf, now + 86_400 * 50, np.nextafter(until, 0)) - now, 86_400 * 50) * share + now
    for name in WINDOWS:
        assert windows.window(state, name, later).tolist() == windows.window(state, name, now).tolist()
    assert paces(state, later).tolist() == paces(state, np.full(3, now)).tolist()


def test_an_event_leaves_each_window_when_its_bucket_does() -> None:
    at = START - START % 86_400
    state = folded([Increment(0, at, Counter.LIKES, 1)], [])
    for name, (bucket_s, slots) in RINGS.items():
        for now, expected in ((at - 1, 0), (at, 1), (at + bucket_s * slots - 1, 1), (at + bucket_s * slots, 0)):
            assert windows.window(state, name, now)[0, Counter.LIKES] == expected


def test_a_late_event_counts_in_the_windows_that_still_reach_it() -> None:
    state = folded([Increment(0, START, Counter.LIKES, 1), Increment(0, START - 7_200, Counter.LIKES, 1)], [1])
    assert [int(windows.window(state, name, START)[0, Counter.LIKES]) for name in WINDOWS] == [1, 1, 2, 2]


def test_what_is_taken_back_without_having_been_given_reads_as_nothing_and_still_takes_its_like_with_it() -> None:
    unliked, liked = Increment(0, START + 1, Counter.LIKES, -1), Increment(0, START, Counter.LIKES, 1)
    for arrived, told in (([unliked], 0), ([unliked, liked], 0), ([liked, unliked, liked], 1)):
        state = folded(arrived, [])
        assert windows.totals(state)[0, Counter.LIKES] == told
        assert {int(windows.window(state, name, START)[0, Counter.LIKES]) for name in WINDOWS} == {told}


def test_the_state_handed_in_is_left_alone() -> None:
    state = np.zeros((1, WIDTH), dtype=np.int32)
    added(state, [(0, START, 0, 1)])
    assert not state.any()


def test_the_width_of_a_record_is_part_of_the_stored_format() -> None:
    assert (COUNTERS, WIDTH) == (13, 4 + 13 + 13 * 32)
    with pytest.raises(KeyError):
        windows.window(np.zeros((1, WIDTH), dtype=np.int32), "1y", START)


def test_a_total_stands_still_at_its_limit_instead_of_wrapping_around() -> None:
    state = np.zeros((1, windows.WIDTH), dtype=np.int32)
    for _ in range(2):
        state = added(state, [(0, 1e9, Counter.WATCHED_DS, 2**31 - 10)])
    assert windows.totals(state)[0, Counter.WATCHED_DS] == 2**31 - 1


def test_a_window_stands_still_at_its_limit_instead_of_wrapping_around() -> None:
    state = np.zeros((1, windows.WIDTH), dtype=np.int32)
    much = 5_000
    for _ in range(2):  # as many days of watching as one batch of events can tell of
        state = added(state, [(0, START, Counter.WATCHED_DS, 864_000)] * much)
    assert {int(windows.window(state, name, START)[0, Counter.WATCHED_DS]) for name in WINDOWS} == {2**31 - 1}

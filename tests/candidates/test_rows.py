"""Tests of what the sources do with lists of rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from reelrank.candidates.rows import each_once, interleaved, strongest, summed, unseen

ROWS = st.lists(st.integers(0, 20), max_size=30).map(lambda rows: np.array(rows, dtype=np.int64))


@given(st.lists(st.integers(-5, 5), max_size=30), st.integers(0, 40))
def test_the_strongest_are_those_a_stable_sort_puts_first(values: list[int], count: int) -> None:
    array = np.array(values, dtype=np.float64)
    assert strongest(array, count).tolist() == np.argsort(-array, kind="stable")[:count].tolist()


@given(ROWS)
def test_each_row_stays_where_it_came_first(rows: np.ndarray) -> None:
    assert each_once(rows).tolist() == list(dict.fromkeys(rows.tolist()))


@given(ROWS, st.sets(st.integers(0, 20)))
def test_unseen_is_what_the_bitmap_does_not_hold(rows: np.ndarray, seen: set[int]) -> None:
    assert unseen(rows, BitMap(seen)).tolist() == [row not in seen for row in rows.tolist()]


def test_lists_take_turns_and_a_row_in_two_of_them_comes_once() -> None:
    lists = [np.array([1, 2, 3]), np.array([4, 1]), np.array([5])]
    assert interleaved(lists).tolist() == [1, 4, 5, 2, 3]
    assert interleaved([]).tolist() == []


def test_values_are_summed_by_key() -> None:
    keys, sums = summed(np.array([7, 3, 7, 900_000], dtype=np.int32), np.array([1.0, 2.0, 0.5, 4.0]))
    assert (keys.tolist(), sums.tolist()) == ([3, 7, 900_000], [2.0, 1.5, 4.0])


def test_seen_rows_are_told_from_others_in_any_order() -> None:
    assert unseen(np.array([9, 2, 5, 0, 4_000_000_000]), BitMap([2, 9, 10])).tolist() == [False, False, True, True, True]
    assert unseen(np.array([4, 1]), BitMap()).tolist() == [True, True]
    assert unseen(np.array([], dtype=np.int64), BitMap([1])).tolist() == []

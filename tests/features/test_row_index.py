"""RowIndex against a dict: whatever comes and goes, the same answers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reelrank.features.row_index import NO_KEY, RowIndex

CAPACITY = 40
KEYS = st.one_of(st.integers(0, 60), st.integers(-(2**63) + 1, 2**63 - 1), st.integers(-40, 40).map(lambda number: number << 48))
STEPS = st.lists(st.tuples(st.booleans(), st.lists(KEYS, max_size=20, unique=True)), max_size=12)


def array(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@given(STEPS)
def test_whatever_comes_and_goes_each_id_finds_its_own_row(steps: list[tuple[bool, list[int]]]) -> None:
    index, owned, known = RowIndex.empty(CAPACITY), {}, {NO_KEY}
    for comes, keys in steps:
        known.update(keys)
        if comes:
            free = [row for row in range(1, CAPACITY) if row not in owned.values()]
            new = dict(zip([key for key in keys if key not in owned], free, strict=False))
            index.put(array(list(new.values())), array(list(new)))
            owned |= new
        else:
            index.drop(array([owned.pop(key) for key in keys if key in owned]))
        asked = array(sorted(known))
        assert index.rows_of(asked).tolist() == [owned.get(key, 0) for key in sorted(known)]
        assert np.count_nonzero(index.slots) == len(owned)
        assert {row: key for row, key in enumerate(index.keys.tolist()) if key != NO_KEY} == {row: key for key, row in owned.items()}


@given(st.lists(KEYS, max_size=CAPACITY - 1, unique=True), st.integers(CAPACITY, 500))
def test_everybody_keeps_their_row_when_it_grows(keys: list[int], capacity: int) -> None:
    index = RowIndex.empty(CAPACITY)
    rows = np.arange(1, len(keys) + 1)
    index.put(rows, array(keys))
    index.grow(capacity)
    assert index.capacity == capacity
    assert np.array_equal(index.rows_of(array(keys)), rows)


def test_ids_that_all_want_the_same_slot_are_told_apart() -> None:
    index = RowIndex.empty(300)
    keys = np.arange(200_000, dtype=np.int64)
    keys = keys[index._home(keys) == index._home(keys[:1])][:100]
    assert len(keys) == 100
    rows = np.arange(1, 101)
    index.put(rows, keys)
    index.drop(rows[::2])
    assert np.array_equal(index.rows_of(keys), np.where(rows % 2, 0, rows))


def test_a_hundred_thousand_ids_are_found_in_an_index_of_half_a_million() -> None:
    keys = np.unique(np.random.default_rng(0).integers(-(2**62), 2**62, 500_000))
    index = RowIndex.empty(len(keys) + 1)
    index.put(np.arange(1, len(keys) + 1), keys)
    places = np.random.default_rng(1).integers(0, len(keys), 100_000)
    assert np.array_equal(index.rows_of(keys[places]), places + 1)
    assert not index.rows_of(np.arange(100_000)).any()

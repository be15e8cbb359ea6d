"""Rows as bits: what is cleared is out, what there is no bit for is in."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reelrank.candidates.row_bits import bits_of, clear, every, flags_between, flags_of

ROWS = st.lists(st.integers(0, 60), max_size=30)


@given(st.lists(st.booleans(), max_size=50), ROWS, st.integers(0, 60), st.integers(0, 20))
def test_flags_come_back_without_what_was_cleared(flags: list[bool], gone: list[int], first: int, count: int) -> None:
    bits = bits_of(np.array(flags, dtype=np.bool_))
    clear(bits, np.array(gone, dtype=np.int64))
    room = 8 * len(bits)
    expected = np.array([(flags[row] if row < len(flags) else True) and not (row < room and row in gone) for row in range(80)])
    np.testing.assert_array_equal(flags_of(bits, np.arange(80)), expected)
    np.testing.assert_array_equal(flags_between(bits, first, first + count), expected[first : min(first + count, max(room, first))])


def test_every_row_is_in() -> None:
    assert flags_of(every(11), np.arange(30)).all()

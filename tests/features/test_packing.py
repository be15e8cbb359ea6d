"""Tests of records of counters as bytes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from features.counted import added
from reelrank.features.packing import pack, unpack
from reelrank.features.windows import COUNTERS, WIDTH, Counter, Counters

NOW = 1_750_000_000.0
INCREMENTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.one_of(st.floats(NOW - 9e5, NOW), st.just(0.0)),
        st.integers(0, COUNTERS - 1),
        st.one_of(st.integers(-3, 9), st.sampled_from([127, 128, -128, -129, 32_767, 32_768, -32_769, 2**31 - 1])),
    ),
    min_size=1,
    max_size=20,
)


@given(INCREMENTS)
def test_what_was_packed_comes_back_bit_for_bit(increments: list[tuple[int, float, int, int]]) -> None:
    state = added(np.zeros((3, WIDTH), dtype=np.int32), increments)
    assert unpack(pack(state)).tobytes() == state.tobytes()


@given(hnp.arrays(np.int32, (4, WIDTH - 4), elements=st.sampled_from([0, 0, 0, 1, -1, 127, -128, 128, 40_000, -(2**31), 2**31 - 1])))
def test_any_numbers_come_back(numbers: Counters) -> None:
    state = np.zeros((4, WIDTH), dtype=np.int32)
    state[:, 4:] = numbers
    assert unpack(pack(state)).tobytes() == state.tobytes()


def test_nothing_stored_is_nothing_counted() -> None:
    state = added(np.zeros((1, WIDTH), dtype=np.int32), [(0, NOW, Counter.LIKES, 3)])
    (record,) = pack(state)
    assert unpack([b"", record, b""])[[0, 2]].any() == 0
    assert unpack([b"", record, b""])[1].tolist() == state[0].tolist()
    assert unpack([]).shape == (0, WIDTH)
    assert pack(np.zeros((0, WIDTH), dtype=np.int32)) == []


def test_a_video_that_is_watched_all_the_time_takes_less_than_a_kilobyte() -> None:
    rng = np.random.default_rng(0)
    increments = [(0, NOW - float(rng.exponential(2e5)), int(rng.choice([0, 1, 2, 3, 4, 5, 11, 12])), int(rng.integers(1, 300))) for _ in range(20_000)]
    state = added(np.zeros((1, WIDTH), dtype=np.int32), increments)
    assert (state != 0).mean() > 0.5
    assert len(pack(state)[0]) < 1_000

"""Tests that a cache of records never gives anything but what is in the records."""

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.counted import added
from reelrank.features import windows
from reelrank.features.packing import pack, unpack
from reelrank.features.record_cache import RecordCache
from reelrank.features.windows import Counter

NOW = 1_750_000_000.0


def records(count: int) -> list[bytes]:
    """So many different ones, the first of nothing."""
    state = np.zeros((count, windows.WIDTH), dtype=np.int32)
    return [b"", *pack(added(state, [(place, NOW, Counter.CLICKS, place + 1) for place in range(count)]))[1:]]


MADE = records(30)


@given(st.lists(st.lists(st.integers(0, 29), max_size=12), max_size=12), st.integers(1, 8))
def test_records_are_what_they_are_however_few_are_kept(asked: list[list[int]], capacity: int) -> None:
    cache = RecordCache(capacity)
    for places in asked:
        wanted = [MADE[place] for place in places]
        assert cache.unpacked(wanted).tobytes() == unpack(wanted).tobytes()


def test_what_was_given_away_can_be_written_to() -> None:
    cache = RecordCache()
    cache.unpacked(MADE)[:] = 7
    assert cache.unpacked(MADE).tobytes() == unpack(MADE).tobytes()


def test_several_threads_can_read_at_once() -> None:
    cache, wrong = RecordCache(10), list[int]()

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(300):
            wanted = [MADE[place] for place in rng.integers(30, size=9).tolist()]
            if cache.unpacked(wanted).tobytes() != unpack(wanted).tobytes():
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []

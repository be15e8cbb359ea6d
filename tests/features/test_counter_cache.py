"""Tests that what is kept of counters is what reading them anew would say."""

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.folded_world import NOW
from reelrank.features import windows
from reelrank.features.counter_cache import CounterCache
from reelrank.features.packing import pack, unpack
from reelrank.features.standings import EVERYTHING, Parts
from reelrank.features.windows import COUNTERS
from reelrank.storage.counter_store import CounterStore, Kind

KEYS = 12
KINDS = (Kind.VIDEO, Kind.TAG, Kind.SOUND, Kind.PLACE_VIDEO)
ASKED = {
    Kind.VIDEO: np.arange(KEYS),
    Kind.TAG: np.array([3, -1, 3, 5]),
    Kind.SOUND: np.array([7, 2, -1]),
    Kind.PLACE_VIDEO: 1 << 32 | np.arange(4),
}
PARTS = {Kind.VIDEO: EVERYTHING, Kind.TAG: Parts(paces=True), Kind.SOUND: Parts(day=True), Kind.PLACE_VIDEO: Parts(), Kind.AUTHOR: Parts()}


class Counting:
    """A store that things are counted in, one commit at a time."""

    def __init__(self, folder: Path) -> None:
        self.store = CounterStore(folder, 1, durable=False)

    def count(self, kind: Kind, key: int, at: float, amount: int = 1) -> None:
        keys = np.array([key if kind is not Kind.PLACE_VIDEO else 1 << 32 | key])
        before = self.store.position()
        state = unpack(self.store.read({kind: keys}).records[kind])
        state = windows.fold(state, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), np.array([int(at)]), np.full((1, COUNTERS), float(amount)))
        self.store.commit(before, before, {kind: (keys, pack(state))})

    def anew(self, now: float) -> dict[Kind, tuple[list[object], ...]]:
        return said(CounterCache(self.store, PARTS, 64), now)


def said(cache: CounterCache, now: float) -> dict[Kind, tuple[list[object], ...]]:
    found, _ = cache.read(ASKED, now)
    return {kind: tuple(part.tolist() for part in standings) for kind, standings in found.items()}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.sampled_from(KINDS), st.integers(0, KEYS - 1), st.floats(-2e5, 2e5)),
        st.tuples(st.just("read"), st.floats(-2e5, 9e5)),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, capacity=st.sampled_from([40, 64]))
def test_what_is_kept_says_to_the_bit_what_reading_anew_says(steps: list[tuple], capacity: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    counting = Counting(tmp_path_factory.mktemp("counters"))
    cache = CounterCache(counting.store, PARTS, capacity)
    for step in steps:
        if step[0] == "count":
            counting.count(step[1], step[2], NOW + step[3])
        else:
            now = NOW + step[1]
            assert said(cache, now) == counting.anew(now)
            apart, _ = cache.read_at(ASKED, {kind: np.full(len(keys), now) for kind, keys in ASKED.items()})
            assert {kind: tuple(part.tolist() for part in standings) for kind, standings in apart.items()} == counting.anew(now)
    counting.store.close()


def test_nobody_is_told_what_was_counted_of_another_who_got_the_same_room(tmp_path: Path) -> None:
    """Time passes, so that some of what is read again is known, and some of that gives its room to what is new."""
    counting, rng = Counting(tmp_path), np.random.default_rng(0)
    for key in range(40):
        counting.count(Kind.VIDEO, key, NOW, amount=key + 1)
    cache = CounterCache(counting.store, PARTS, 20)
    for step in range(400):
        keys = rng.choice(40, 8, replace=False)
        found, _ = cache.read({Kind.VIDEO: keys}, NOW + 7.0 * step)
        assert found[Kind.VIDEO].totals[:, 0].tolist() == (keys + 1).tolist()
    counting.store.close()


def test_records_beyond_the_room_give_way_and_are_read_again(tmp_path: Path) -> None:
    counting = Counting(tmp_path)
    for key in range(200):
        counting.count(Kind.AUTHOR, key, NOW - 10, amount=key)
    cache, rng = CounterCache(counting.store, PARTS, 40), np.random.default_rng(0)
    for _ in range(60):
        keys = rng.integers(0, 200, 20)
        found, _ = cache.read({Kind.AUTHOR: keys}, NOW)
        assert found[Kind.AUTHOR].totals[:, 0].tolist() == keys.tolist()
    keys = np.arange(200)  # more than there is room for
    assert cache.read({Kind.AUTHOR: keys}, NOW)[0][Kind.AUTHOR].totals[:, 0].tolist() == keys.tolist()


def test_readers_see_one_commit_each_while_others_count_and_read(tmp_path: Path) -> None:
    counting, wrong = Counting(tmp_path), list[object]()
    cache, ended = CounterCache(counting.store, PARTS, 64), threading.Event()

    def read() -> None:
        while not ended.is_set():
            found, _ = cache.read({Kind.VIDEO: np.arange(2)}, NOW)
            first, second = found[Kind.VIDEO].totals[:, 0].tolist()
            if not (second <= first <= second + 1 and found[Kind.VIDEO].week[:, 0].tolist() == [first, second]):
                wrong.append((first, second))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(150):
        counting.count(Kind.VIDEO, 0, NOW - 5)
        counting.count(Kind.VIDEO, 1, NOW - 5)
    ended.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.read({Kind.VIDEO: np.arange(2)}, NOW)[0][Kind.VIDEO].totals[:, 0].tolist() == [150, 150]

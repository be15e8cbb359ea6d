"""Tests that whoever follows the counters learns what was written, and when too much was."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reelrank.storage import counter_store
from reelrank.storage.counter_store import CounterStore, Kind, Position


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CounterStore]:
    store = CounterStore(tmp_path / "counters", partitions=1, durable=False)
    yield store
    store.close()


def write(store: CounterStore, **keys: list[int]) -> None:
    before = store.position()
    after = Position((before.origins[0] + 1,), before.signals)
    store.commit(before, after, {Kind[kind]: (np.array(rows), [b"record"] * len(rows)) for kind, rows in keys.items()})


def test_who_follows_learns_what_was_touched_since(store: CounterStore) -> None:
    since, _ = store.touched(0)
    write(store, VIDEO=[4, 7], TAG=[1])
    write(store, VIDEO=[7, 2**40])
    after, touched = store.touched(since)
    assert touched is not None
    assert {kind: keys.tolist() for kind, keys in touched.items() if len(keys)} == {Kind.VIDEO: [4, 7, 2**40], Kind.TAG: [1]}
    _, nothing = store.touched(after)
    assert nothing is not None
    assert all(len(keys) == 0 for keys in nothing.values())


def test_who_comes_too_late_or_from_another_store_is_told_so(store: CounterStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter_store, "_TOUCHED_KEPT", 3)
    for row in range(10):
        write(store, VIDEO=[row])
    end, too_late = store.touched(0)
    assert (end, too_late) == (10, None)
    assert store.touched(99) == (10, None)
    assert store.touched(-1) == (10, None)
    _, lately = store.touched(7)
    assert lately is not None
    assert lately[Kind.VIDEO].tolist() == [7, 8, 9]


def test_a_scan_can_be_cut_short_and_goes_on_behind_its_last_key(store: CounterStore) -> None:
    write(store, VIDEO=[1, 3, 5], TAG=[2])
    keys, records = store.scan(Kind.VIDEO, at_most=2)
    assert (keys.tolist(), len(records)) == ([1, 3], 2)
    assert store.scan(Kind.VIDEO, 4)[0].tolist() == [5]

"""Tests of the counter store: all or nothing, one who folds, many who read."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reelrank.storage import counter_store
from reelrank.storage.counter_store import CounterStore, Kind, Position
from reelrank.storage.event_log import StorageError

NOWHERE = Position((0, 0), (0, 0))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CounterStore]:
    store = CounterStore(tmp_path / "counters", 2)
    yield store
    store.close()


def at(number: int) -> Position:
    return Position((number, 0), (number, 0))


def keys(*wanted: int) -> np.ndarray:
    return np.array(wanted, dtype=np.int64)


def test_a_new_store_knows_nothing(store: CounterStore) -> None:
    assert store.position() == NOWHERE
    assert store.read({Kind.VIDEO: keys(3, 1)}) == ({Kind.VIDEO: [b"", b""]}, (0, 0))
    assert store.scan(Kind.VIDEO)[1] == []


def test_records_come_back_in_the_order_that_was_asked_for(store: CounterStore) -> None:
    store.commit(NOWHERE, at(5), {Kind.VIDEO: (keys(1, 70_000), [b"one", b"many"]), Kind.TAG: (keys(1), [b"tag"])})
    found = store.read({Kind.VIDEO: keys(70_000, 2, 1), Kind.TAG: keys(1), Kind.SOUND: keys()})
    assert found.records == {Kind.VIDEO: [b"many", b"", b"one"], Kind.TAG: [b"tag"], Kind.SOUND: []}
    assert found.origins == (5, 0)


def test_a_scan_is_ascending_and_keeps_to_its_kind_and_range(store: CounterStore) -> None:
    rows = [1, 255, 256, 2**33, 2**40]
    store.commit(NOWHERE, at(1), {Kind.VIDEO: (keys(*rows), [str(row).encode() for row in rows]), Kind.AUTHOR: (keys(2), [b"author"])})
    assert store.scan(Kind.VIDEO)[0].tolist() == rows
    found, records = store.scan(Kind.VIDEO, 255, 2**33)
    assert (found.tolist(), records) == ([255, 256], [b"255", b"256"])


def test_who_stands_elsewhere_writes_nothing(store: CounterStore) -> None:
    store.commit(NOWHERE, at(5), {Kind.VIDEO: (keys(1), [b"five"])})
    with pytest.raises(StorageError, match="folded by another process"):
        store.commit(NOWHERE, at(6), {Kind.VIDEO: (keys(1), [b"six"])})
    assert store.read({Kind.VIDEO: keys(1)}) == ({Kind.VIDEO: [b"five"]}, (5, 0))


def test_one_process_folds_and_another_takes_over_when_it_dies(store: CounterStore, tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from reelrank.storage import counter_store
from reelrank.storage.counter_store import CounterStore
with CounterStore(Path({str(tmp_path / "counters")!r}), 2).claim():
    print("held", flush=True)
    time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    assert store.claim() is None
    child.kill()
    child.wait()
    child.stdout.close()
    claim = store.claim()
    assert claim is not None
    with claim:
        assert store.claim() is None
    again = store.claim()
    assert again is not None
    with again:
        pass


def test_a_killed_writer_leaves_whole_commits(store: CounterStore, tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
import numpy as np
from reelrank.storage import counter_store
from reelrank.storage.counter_store import CounterStore, Kind
store = CounterStore(Path({str(tmp_path / "counters")!r}), 2)
print("open", flush=True)
while True:
    before = store.position()
    n = before.origins[0] + 1
    store.commit(before, before._replace(origins=(n, 0)), {{Kind.VIDEO: (np.arange(50), [str(n).encode()] * 50)}})
"""
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        time.sleep(0.1)
        child.kill()
        child.wait()
        child.stdout.close()
        found = store.read({Kind.VIDEO: np.arange(50)})
        assert set(found.records[Kind.VIDEO]) == {str(found.origins[0]).encode()}
    assert store.position().origins[0] > 5


def test_another_number_of_partitions_is_an_error_with_a_way_out(store: CounterStore, tmp_path: Path) -> None:
    store.close()
    with pytest.raises(StorageError, match=r"written as '3 partitions=2', now they would be '3 partitions=4'; remove that folder"):
        CounterStore(tmp_path / "counters", 4)


def test_a_full_disk_is_an_error_and_changes_nothing(small_disk: Path) -> None:
    store = CounterStore(small_disk / "counters", 2)
    store.commit(NOWHERE, at(1), {Kind.VIDEO: (keys(1), [b"one"])})
    with pytest.raises(StorageError, match="is the disk full"):
        store.commit(at(1), at(2), {Kind.VIDEO: (np.arange(20_000), [bytes(500)] * 20_000)})
    assert store.read({Kind.VIDEO: keys(1)}) == ({Kind.VIDEO: [b"one"]}, (1, 0))
    store.close()


def write(store: CounterStore, **wanted: list[int]) -> None:
    before = store.position()
    after = Position((before.origins[0] + 1, 0), before.signals)
    store.commit(before, after, {Kind[kind]: (np.array(rows), [b"record"] * len(rows)) for kind, rows in wanted.items()})


def test_who_follows_learns_what_was_touched_since(store: CounterStore) -> None:
    since, _ = store.touched(0)
    write(store, VIDEO=[4, 7], TAG=[1])
    write(store, VIDEO=[7, 2**40])
    after, touched = store.touched(since)
    assert touched is not None
    assert {kind: rows.tolist() for kind, rows in touched.items() if len(rows)} == {Kind.VIDEO: [4, 7, 2**40], Kind.TAG: [1]}
    _, nothing = store.touched(after)
    assert nothing is not None
    assert all(len(rows) == 0 for rows in nothing.values())


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
    found, records = store.scan(Kind.VIDEO, at_most=2)
    assert (found.tolist(), len(records)) == ([1, 3], 2)
    assert store.scan(Kind.VIDEO, 4)[0].tolist() == [5]


def test_what_is_read_ahead_is_the_whole_file_unless_it_would_fill_the_memory(store: CounterStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit(NOWHERE, at(1), {Kind.VIDEO: (keys(7), [b"seven"])})
    assert store.read_ahead() == (tmp_path / "counters" / "data.mdb").stat().st_size > 0
    assert store.read({Kind.VIDEO: keys(7)}).records == {Kind.VIDEO: [b"seven"]}
    monkeypatch.setattr(counter_store, "_READ_AHEAD", 0.0)
    assert store.read_ahead() == 0

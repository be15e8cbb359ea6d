"""The contract of OnlineStore, over every backend."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from reelrank.storage.event_log import StorageError
from reelrank.storage.online_store import Counters, Keys, Kind, OnlineStore
from reelrank.storage.online_store_embedded import EmbeddedOnlineStore
from storage.backends import ONLINE_STORES, WIDTH, Start

Opener = Callable[..., OnlineStore]

# Every child opens its store this way and writes the same number n everywhere: two users, two records, one offset.
OPEN = f"""
import sys, time
from pathlib import Path
import numpy as np
from storage.backends import ONLINE_STORES
from reelrank.storage.online_store import Kind
store = ONLINE_STORES[sys.argv[1]](Path(sys.argv[2]), 2, {WIDTH})
def change(fold, n):
    fold.put_users({{"ana": str(n).encode(), "ben": str(n).encode()}})
    fold.put_counters(Kind.VIDEO, np.array([1, 70000]), np.full((2, {WIDTH}), n, dtype=np.int32))
"""


@pytest.fixture(params=ONLINE_STORES)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def open_store(backend: str, tmp_path: Path) -> Iterator[Opener]:
    with ExitStack() as opened:

        def _open(path: Path = tmp_path / "online", partitions: int = 2, width: int = WIDTH, **options: int) -> OnlineStore:
            store = ONLINE_STORES[backend](path, partitions, width, **options)
            opened.callback(store.close)
            return store

        yield _open


@pytest.fixture
def store(open_store: Opener) -> OnlineStore:
    return open_store()


def keys(*wanted: int) -> Keys:
    return np.array(wanted, dtype=np.int64)


def filled(*values: int) -> Counters:
    return np.array([[value] * WIDTH for value in values], dtype=np.int32)


def put(store: OnlineStore, kind: Kind, wanted: Keys, values: Counters) -> None:
    with store.fold(0) as fold:
        fold.put_counters(kind, wanted, values)
        fold.commit(fold.offset + 1)


def numbers_seen(store: OnlineStore) -> set[int]:
    """The numbers in everything that `change` writes; one if a fold is all or nothing."""
    snapshot = store.read(("ana", "ben"), {Kind.VIDEO: keys(1, 70_000)})
    return {int(user or b"0") for user in snapshot.users} | set(snapshot.counters[Kind.VIDEO].ravel().tolist()) | {snapshot.offsets[1]}


def test_a_new_store_knows_nothing(store: OnlineStore) -> None:
    snapshot = store.read(("ana",), {Kind.VIDEO: keys(5, 3), Kind.TAG: keys()})
    assert snapshot.users == [None]
    assert snapshot.counters[Kind.VIDEO].tolist() == filled(0, 0).tolist()
    assert snapshot.counters[Kind.TAG].shape == (0, WIDTH)
    assert snapshot.offsets == store.offsets() == (0, 0)
    assert list(store.scan_users()) == []
    assert [len(found) for found in store.scan_counters(Kind.VIDEO)] == [0, 0]


def test_a_commit_makes_state_and_offset_visible_together(store: OnlineStore) -> None:
    with store.fold(1) as fold:
        assert fold.offset == 0
        fold.put_users({"ana": b"a", "ben": b"b"})
        fold.put_counters(Kind.VIDEO, keys(2, 7), filled(20, 70))
        assert store.read(("ana",), {Kind.VIDEO: keys(2)}).users == [None]
        assert fold.users(["ben", "cem", "ana"]) == [b"b", None, b"a"]
        assert fold.counters(Kind.VIDEO, keys(7, 8)).tolist() == filled(70, 0).tolist()
        fold.commit(12)
    snapshot = store.read(("ben", "cem", "ana"), {Kind.VIDEO: keys(7, 1, 2)})
    assert snapshot.users == [b"b", None, b"a"]
    assert snapshot.counters[Kind.VIDEO].tolist() == filled(70, 0, 20).tolist()
    assert snapshot.offsets == (0, 12)
    with store.fold(1) as fold:
        assert fold.offset == 12
    with store.fold(0) as fold:
        assert fold.offset == 0


def test_a_fold_without_commit_leaves_nothing(store: OnlineStore) -> None:
    with store.fold(0) as fold:
        fold.put_users({"ana": b"a"})
        fold.put_counters(Kind.TAG, keys(1), filled(1))
        fold.first_time(0, [b"x" * 12])
    with pytest.raises(ZeroDivisionError), store.fold(0) as fold:
        fold.put_users({"ana": b"a"})
        _ = 1 / 0
    assert list(store.scan_users()) == []
    assert len(store.scan_counters(Kind.TAG)[0]) == 0
    with store.fold(0) as fold:
        assert fold.first_time(0, [b"x" * 12]) == [True]


def test_a_store_that_is_opened_again_has_everything(open_store: Opener) -> None:
    store = open_store()
    with store.fold(0) as fold:
        fold.put_users({"ünal": b"u"})
        fold.commit(3)
    store.close()
    again = open_store()
    assert list(again.scan_users()) == [("ünal", b"u")]
    assert again.offsets() == (3, 0)


def test_kinds_and_keys_are_kept_apart(store: OnlineStore) -> None:
    wanted = keys(0, 255, 256, 2**31, 5 << 32 | 7)
    for value, kind in enumerate(Kind, 1):
        put(store, kind, wanted, filled(*[value * 10 + place for place in range(len(wanted))]))
    for value, kind in enumerate(Kind, 1):
        found, counters = store.scan_counters(kind)
        assert found.tolist() == wanted.tolist()
        assert counters[:, 0].tolist() == [value * 10 + place for place in range(len(wanted))]


def test_a_scan_goes_from_low_to_below_high_in_order(store: OnlineStore) -> None:
    put(store, Kind.PLACE_VIDEO, keys(9, 1 << 32 | 4, 1 << 32, 2 << 32, 3), filled(1, 2, 3, 4, 5))
    found, counters = store.scan_counters(Kind.PLACE_VIDEO, 1 << 32, 2 << 32)
    assert found.tolist() == [1 << 32, 1 << 32 | 4]
    assert counters.tolist() == filled(3, 2).tolist()
    assert store.scan_counters(Kind.PLACE_VIDEO, 3, 9)[0].tolist() == [3]
    assert store.scan_counters(Kind.PLACE_VIDEO, 4, 4)[0].tolist() == []
    assert store.scan_counters(Kind.PLACE_VIDEO, 3 << 32)[0].tolist() == []


def test_negative_and_largest_counters_come_back_as_they_were(store: OnlineStore) -> None:
    put(store, Kind.VIDEO, keys(1), np.array([[-1, 2**31 - 1, -(2**31)]], dtype=np.int32))
    assert store.read((), {Kind.VIDEO: keys(1)}).counters[Kind.VIDEO].tolist() == [[-1, 2**31 - 1, -(2**31)]]


def test_users_are_scanned_in_order_of_id(store: OnlineStore) -> None:
    with store.fold(0) as fold:
        fold.put_users({"c": b"3", "a": b"1", "b" * 100: b"2"})
        fold.commit(1)
    assert list(store.scan_users()) == [("a", b"1"), ("b" * 100, b"2"), ("c", b"3")]


def test_a_repeat_is_recognised_within_the_window_and_forgotten_after_two(open_store: Opener) -> None:
    window = 10
    store = open_store(repeat_window=window)
    for begin in range(window):
        for distance in range(1, 4 * window):
            with store.fold(0) as fold:  # never committed: every pair finds an empty store
                assert fold.first_time(begin, [b"original"]) == [True]
                [is_new] = fold.first_time(begin + distance, [b"original"])
            if distance <= window:
                assert not is_new
            if distance >= 2 * window:
                assert is_new


def test_repeats_in_one_batch_and_in_other_partitions_are_told_apart(store: OnlineStore) -> None:
    one, other = b"one---------", b"other-------"
    with store.fold(0) as fold:
        assert fold.first_time(0, [one, other, one, one]) == [True, True, False, False]
        fold.commit(4)
    with store.fold(1) as fold:
        assert fold.first_time(0, [one]) == [True]
        fold.commit(1)
    with store.fold(0) as fold:
        assert fold.first_time(4, [other, one]) == [False, False]


def test_what_is_remembered_of_repeats_does_not_grow_for_ever(open_store: Opener) -> None:
    window, batch = 100, 20
    store = open_store(repeat_window=window)
    sizes: list[int] = []
    for start in range(0, 2_000, batch):
        with store.fold(0) as fold:
            assert all(fold.first_time(start, [number.to_bytes(12, "big") for number in range(start, start + batch)]))
            fold.commit(start + batch)
        assert isinstance(store, EmbeddedOnlineStore)
        sizes.append(store._env.stat()["entries"])  # pyright: ignore[reportPrivateUsage]
    assert max(sizes) < 3 * window + 10


@pytest.mark.parametrize("other", [{"width": 4}, {"partitions": 3}, {"repeat_window": 77}])
def test_another_format_is_refused_with_the_way_out(open_store: Opener, other: dict[str, int]) -> None:
    open_store().close()
    with pytest.raises(StorageError, match=r"width=3 partitions=2 .*remove that folder: the stream folds it again"):
        open_store(**other)
    assert open_store().offsets() == (0, 0)


def test_a_reader_in_another_process_sees_a_fold_wholly_or_not_at_all(backend: str, store: OnlineStore, start: Start, tmp_path: Path) -> None:
    program = f"""{OPEN}
for n in range(1, 10_000_000):
    with store.fold(1) as fold:
        change(fold, n)
        fold.commit(n)
    if n == 1:
        print("going", flush=True)
"""
    child = start(program, backend, tmp_path / "online")
    assert child.stdout is not None
    assert child.stdout.readline() == "going\n"
    moments = [numbers_seen(store) for _ in range(300)]
    deadline = time.monotonic() + 30
    while len({max(moment) for moment in moments}) < 3 and time.monotonic() < deadline:
        moments.append(numbers_seen(store))
    assert all(len(moment) == 1 for moment in moments)
    assert len({max(moment) for moment in moments}) >= 3


def test_a_process_killed_in_the_middle_of_a_fold_leaves_the_state_before(backend: str, store: OnlineStore, start: Start, tmp_path: Path) -> None:
    program = f"""{OPEN}
with store.fold(1) as fold:
    change(fold, 1)
    fold.commit(1)
with store.fold(1) as fold:
    change(fold, 2)
    print("changed", flush=True)
    time.sleep(60)
"""
    child = start(program, backend, tmp_path / "online")
    assert child.stdout is not None
    assert child.stdout.readline() == "changed\n"
    child.kill()
    child.wait(30)
    assert numbers_seen(store) == {1}
    with store.fold(1) as fold:  # the lock is free again
        assert fold.offset == 1
        fold.commit(2)


def test_kill_9_at_any_moment_leaves_whole_folds(backend: str, store: OnlineStore, start: Start, tmp_path: Path) -> None:
    program = f"""{OPEN}
while True:
    with store.fold(1) as fold:
        n = fold.offset + 1
        change(fold, n)
        fold.commit(n)
    print(n, flush=True)
"""
    for _ in range(3):
        child = start(program, backend, tmp_path / "online")
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(random.randint(1, 60))]
        child.kill()
        lines += child.stdout.readlines()
        [number] = numbers_seen(store)
        assert number >= int([line for line in lines if line.endswith("\n")][-1])


def test_a_full_file_is_named_and_leaves_the_state_before(open_store: Opener) -> None:
    store = open_store(max_bytes=1 << 20)
    with store.fold(0) as fold:
        fold.put_users({"ana": b"before"})
        fold.commit(1)
    with pytest.raises(StorageError, match=r"can't be written.*is the disk full"), store.fold(0) as fold:
        fold.put_users({f"user {number}": bytes(10_000) for number in range(1_000)})
        fold.commit(2)
    assert list(store.scan_users()) == [("ana", b"before")]
    assert store.offsets() == (1, 0)

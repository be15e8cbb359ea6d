"""The contract of OnlineStore, over every backend."""

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reelrank.storage.event_log import StorageError, partition_of
from reelrank.storage.online_store import FINGERPRINT_BYTES, FoldConflict, OnlineStore
from storage.backends import ONLINE_STORES, Start

Opener = Callable[..., OnlineStore]

PARTITIONS = 2
# By the partition that they belong to.
MINE = [name for name in (f"user-{number}" for number in range(100)) if partition_of(name, PARTITIONS) == 1][:4]
OTHERS = [name for name in (f"user-{number}" for number in range(100)) if partition_of(name, PARTITIONS) == 0][:4]
ANA, BEN = MINE[:2]

# Every child opens its store this way and writes the same number n everywhere: two users, two records (one of them long), one offset.
OPEN = f"""
import sys, time
from storage.backends import ONLINE_STORES
store = ONLINE_STORES[sys.argv[1]](sys.argv[2], {PARTITIONS})
def commit(n):
    number = n.to_bytes(8, "big")
    store.commit(1, n - 1, n, {{{ANA!r}: number, {BEN!r}: number * 1_500}}, number)
"""


@pytest.fixture(params=ONLINE_STORES)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def place(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store of this backend can be opened, empty at first."""
    if backend == "embedded":
        return str(tmp_path / "online")
    servers = request.getfixturevalue({"redis": "redis_server", "redis_cluster": "redis_cluster"}[backend])
    return f"{servers.url}#test-{secrets.token_hex(4)}"


@pytest.fixture
def open_store(backend: str, place: str) -> Iterator[Opener]:
    with ExitStack() as opened:

        def _open(partitions: int = PARTITIONS, **options: int) -> OnlineStore:
            store = ONLINE_STORES[backend](place, partitions, **options)
            opened.callback(store.close)
            return store

        yield _open


@pytest.fixture
def store(open_store: Opener) -> OnlineStore:
    return open_store()


def marks(first: int, end: int) -> bytes:
    """Fingerprints that tell their offsets."""
    return b"".join(offset.to_bytes(FINGERPRINT_BYTES, "big") for offset in range(first, end))


def numbers_seen(store: OnlineStore) -> set[int]:
    """The numbers in everything that a child's `commit` writes; one if a commit is all or nothing."""
    snapshot = store.read((ANA, BEN))
    ana, ben = (user or bytes(8) for user in snapshot.users)
    assert len(ben) in (8, 12_000)
    return {int.from_bytes(ana, "big"), *(int.from_bytes(ben[at : at + 8], "big") for at in range(0, len(ben), 8)), *snapshot.offsets}


def test_a_new_store_knows_nothing(store: OnlineStore) -> None:
    assert store.read((ANA, *OTHERS)) == ([None] * 5, [0] * 5)
    assert store.read(()) == ([], [])
    assert store.offsets() == (0, 0)
    assert list(store.scan_users()) == []
    assert store.recent(1) == (0, 0, b"")


def test_a_commit_makes_users_and_offset_visible_together(store: OnlineStore) -> None:
    store.commit(1, 0, 12, {ANA: b"a", BEN: b"b"}, marks(0, 12))
    assert store.read((BEN, MINE[2], ANA, OTHERS[0])) == ([b"b", None, b"a", None], [12, 12, 12, 0])
    assert store.read((ANA, ANA)).users == [b"a", b"a"]
    assert store.offsets() == (0, 12)
    store.commit(0, 0, 1, {OTHERS[0]: b"o"}, marks(0, 1))
    store.commit(1, 12, 13, {BEN: b"", MINE[2]: b"c"}, marks(12, 13))
    assert store.read((*MINE[:3], OTHERS[0])) == ([b"a", b"", b"c", b"o"], [13, 13, 13, 1])
    assert store.recent(1) == (0, 13, marks(0, 13))


def test_a_commit_without_users_moves_the_offset(store: OnlineStore) -> None:
    store.commit(0, 0, 3, {}, marks(0, 3))
    assert store.offsets() == (3, 0)
    assert store.read((OTHERS[0],)) == ([None], [3])


@pytest.mark.parametrize("size", [1, 1_399, 1_401, 2_000, 2_801, 4_079, 4_080, 4_081, 5_480, 6_881, 8_160, 50_000, 300_000])
def test_a_record_of_any_size_comes_back_as_it_was(store: OnlineStore, size: int) -> None:
    before, record = random.Random(size).randbytes(9_000), random.Random(size + 1).randbytes(size)
    store.commit(1, 0, 1, {ANA: before}, marks(0, 1))
    store.commit(1, 1, 2, {ANA: record, BEN: record}, marks(1, 2))
    store.commit(1, 2, 3, {BEN: b"short"}, marks(2, 3))
    assert store.read((ANA, BEN)).users == [record, b"short"]
    assert sorted(store.scan_users()) == sorted([(ANA, record), (BEN, b"short")])


def test_who_comes_second_is_told_and_changes_nothing(store: OnlineStore) -> None:
    store.commit(1, 0, 5, {ANA: b"first"}, marks(0, 5))
    for folded_from in (0, 4, 6):
        with pytest.raises(FoldConflict, match=rf"partition 1 is folded up to 5, not {folded_from}"):
            store.commit(1, folded_from, folded_from + 2, {ANA: b"second", BEN: b"second"}, marks(0, 2))
    assert store.read((ANA, BEN)) == ([b"first", None], [5, 5])
    assert store.recent(1) == (0, 5, marks(0, 5))
    store.commit(0, 0, 1, {OTHERS[0]: b"o"}, marks(0, 1))  # another partition is none of its business


@pytest.mark.parametrize("amount", [0, 7, 17, 24])
def test_fingerprints_that_do_not_fit_the_offsets_are_refused(store: OnlineStore, amount: int) -> None:
    with pytest.raises(ValueError, match=r"partition 1 is folded from 0 to 2"):
        store.commit(1, 0, 2, {ANA: b"a"}, bytes(amount))
    assert store.offsets() == (0, 0)


def test_a_store_that_is_opened_again_has_everything(open_store: Opener) -> None:
    store = open_store()
    name = next(name for name in ("ünal", "ünal2", "ünal3", "ünal4") if partition_of(name, PARTITIONS) == 0)
    store.commit(0, 0, 3, {name: b"u"}, marks(0, 3))
    store.close()
    again = open_store()
    assert list(again.scan_users()) == [(name, b"u")]
    assert again.offsets() == (3, 0)
    assert again.recent(0) == (0, 3, marks(0, 3))


def test_a_scan_shows_every_user_once(store: OnlineStore) -> None:
    users = {f"user-{number}": f"record {number}".encode() * (1 + number % 1_000) for number in range(3_000)}
    for partition in range(PARTITIONS):
        mine = {name: record for name, record in users.items() if partition_of(name, PARTITIONS) == partition}
        store.commit(partition, 0, 1, mine, marks(0, 1))
    found = list(store.scan_users())
    assert len(found) == 3_000
    assert dict(found) == users


@pytest.mark.parametrize("window", [1, 600, 9_000])
def test_at_least_the_window_is_remembered_and_not_much_more(open_store: Opener, window: int) -> None:
    store = open_store(repeat_window=window)
    rng = random.Random(window)
    folded = 0
    while folded < 30_000:
        to = folded + rng.choice([1, 7, 509, 510, 3_999, 4_000, 4_001])
        store.commit(0, folded, to, {}, marks(folded, to))
        folded = to
        first, end, fingerprints = store.recent(0)
        assert end == folded
        assert max(0, folded - window - 4_000) <= first <= max(0, folded - window)
        assert fingerprints == marks(first, folded)
    assert store.recent(1) == (0, 0, b"")


def test_a_single_commit_may_be_longer_than_the_window(open_store: Opener) -> None:
    store = open_store(repeat_window=5_000)
    store.commit(0, 0, 100, {}, marks(0, 100))
    store.commit(0, 100, 50_000, {}, marks(100, 50_000))
    first, end, fingerprints = store.recent(0)
    assert end == 50_000
    assert first <= 45_000
    assert fingerprints == marks(first, end)


@pytest.mark.parametrize("other", [{"partitions": 3}, {"repeat_window": 77}])
def test_another_format_is_refused_with_the_way_out(open_store: Opener, other: dict[str, int]) -> None:
    store = open_store()
    store.commit(0, 0, 1, {OTHERS[0]: b"o"}, marks(0, 1))
    store.close()
    with pytest.raises(StorageError, match=r"partitions=2 repeat_window=1000000', now it would be .*remove .*the stream folds (it|them) again"):
        open_store(**other)
    assert open_store().offsets() == (1, 0)


def test_a_reader_sees_a_commit_wholly_or_not_at_all(backend: str, store: OnlineStore, place: str, start: Start) -> None:
    program = f"""{OPEN}
for n in range(1, 10_000_000):
    commit(n)
    if n == 1:
        print("going", flush=True)
"""
    child = start(program, backend, place)
    assert child.stdout is not None
    assert child.stdout.readline() == "going\n"
    moments: list[set[int]] = []
    deadline = time.monotonic() + 30

    def look() -> None:
        seen: list[set[int]] = []
        while len(seen) < 200 or (len({max(moment) for moment in seen}) < 3 and time.monotonic() < deadline):
            seen.append(numbers_seen(store))
        moments.extend(seen)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(moments) >= 600
    assert all(len(moment) == 1 for moment in moments)
    assert len({max(moment) for moment in moments}) >= 3


def test_of_two_processes_that_fold_the_same_partition_each_offset_is_folded_once(backend: str, store: OnlineStore, place: str, start: Start) -> None:
    program = f"""{OPEN}
from reelrank.storage.online_store import FoldConflict
done = 0
while done < 60:
    n = store.offsets()[1] + 1
    try:
        commit(n)
        done += 1
    except FoldConflict:
        pass
print("done", flush=True)
"""
    children = [start(program, backend, place) for _ in range(2)]
    assert [child.communicate(timeout=60)[0] for child in children] == ["done\n"] * 2
    assert numbers_seen(store) == {120}
    assert store.recent(1) == (0, 120, marks(1, 121))


def test_processes_fold_different_partitions_at_the_same_time(backend: str, store: OnlineStore, place: str, start: Start) -> None:
    program = f"""{OPEN}
partition = int(sys.argv[3])
for n in range(100):
    store.commit(partition, n, n + 1, {{}}, n.to_bytes(8, "big"))
"""
    children = [start(program, backend, place, partition) for partition in range(PARTITIONS)]
    assert [child.wait(60) for child in children] == [0, 0]
    assert store.offsets() == (100, 100)
    assert [store.recent(partition) for partition in range(PARTITIONS)] == [(0, 100, marks(0, 100))] * 2


def test_kill_9_at_any_moment_leaves_whole_commits(backend: str, store: OnlineStore, place: str, start: Start) -> None:
    program = f"""{OPEN}
while True:
    n = store.offsets()[1] + 1
    commit(n)
    print(n, flush=True)
"""
    for _ in range(3):
        child = start(program, backend, place)
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(random.randint(1, 60))]
        child.kill()
        lines += child.stdout.readlines()
        [number] = numbers_seen(store)
        assert number >= int([line for line in lines if line.endswith("\n")][-1])
        assert store.recent(1) == (0, number, marks(1, number + 1))


def test_a_full_file_is_named_and_leaves_the_state_before(tmp_path: Path) -> None:
    store = ONLINE_STORES["embedded"](tmp_path / "online", PARTITIONS, max_bytes=1 << 20)
    store.commit(0, 0, 1, {OTHERS[0]: b"before"}, marks(0, 1))
    with pytest.raises(StorageError, match=r"can't be written.*is the disk full"):
        store.commit(0, 1, 2, {f"user {number}": bytes(10_000) for number in range(1_000)}, marks(1, 2))
    assert list(store.scan_users()) == [(OTHERS[0], b"before")]
    assert store.offsets() == (1, 0)
    store.close()


def test_a_full_history_takes_at_most_8_kib_of_the_file_in_whatever_order_users_come(tmp_path: Path) -> None:
    rng = random.Random(5)
    store = ONLINE_STORES["embedded"](tmp_path / "online", 1, durable=False)
    users = [f"user-{number}" for number in range(3_000)]
    folded = 0
    for size in (300, 1_500, 3_000, 5_000, 6_000, 6_000):  # as records grow
        rng.shuffle(users)
        for at in range(0, len(users), 500):
            store.commit(0, folded, folded + 1, {name: rng.randbytes(size) for name in users[at : at + 500]}, marks(0, 1))
            folded += 1
    pages = store._env.stat()  # pyright: ignore[reportAttributeAccessIssue]
    assert (pages["leaf_pages"] + pages["branch_pages"] + pages["overflow_pages"]) * pages["psize"] / len(users) <= 8_192
    store.close()

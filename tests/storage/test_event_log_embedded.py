"""What only the embedded event log promises: whole batches, shared commits, and full disks."""

import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import lmdb
import pytest

from reelrank.storage.event_log import EVENTS, Record, StorageError
from reelrank.storage.event_log_embedded import EmbeddedEventLog
from storage.backends import Start
from storage.test_event_log import OPEN, key_of, values

Opener = Callable[..., EmbeddedEventLog]


@pytest.fixture
def open_log() -> Iterator[Opener]:
    with ExitStack() as opened:

        def _open(path: Path, partitions: int = 2, **options: int) -> EmbeddedEventLog:
            log = EmbeddedEventLog(path, partitions, **options)
            opened.callback(log.close)
            return log

        yield _open


def test_a_killed_writer_leaves_no_half_batch(open_log: Opener, start: Start, tmp_path: Path) -> None:
    program = f"{OPEN}\nwhile True:\n    log.append(EVENTS, [Record(str(i), b'') for i in range(3)])\n    print(flush=True)"
    child = start(program, "embedded", tmp_path / "log")
    assert child.stdout is not None
    for _ in range(random.Random().randint(1, 300)):
        child.stdout.readline()
    child.kill()
    child.wait(30)
    log = open_log(tmp_path / "log")
    assert sum(log.end(EVENTS, partition) for partition in range(2)) % 3 == 0


def test_a_log_of_another_layout_is_refused(open_log: Opener, tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "log")) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"\0partitions", b"2")
    with pytest.raises(StorageError, match="was written by another release; start a new log in another folder"):
        open_log(tmp_path / "log")


def test_threads_that_append_at_once_share_commits(open_log: Opener, tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    writers, rounds = 16, 10
    barrier = threading.Barrier(writers)
    before = _commits(log)

    def write(name: int) -> None:
        for number in range(rounds):
            barrier.wait(30)
            for partition, offset in log.append(EVENTS, [Record(f"{name} {number}", f"{name} {number}".encode())]):
                assert log.read(EVENTS, partition, offset, 1)[0].value == f"{name} {number}".encode()

    threads = [threading.Thread(target=write, args=(name,), daemon=True) for name in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(log.end(EVENTS, partition) for partition in range(2)) == writers * rounds
    assert _commits(log) - before < writers * rounds / 2


def _commits(log: EmbeddedEventLog) -> int:
    return log._env.info()["last_txnid"]  # pyright: ignore[reportPrivateUsage]


def test_a_full_disk_acknowledges_nothing_and_loses_nothing(open_log: Opener, small_disk: Path) -> None:
    _fill(open_log, small_disk / "log")


def test_a_full_file_acknowledges_nothing_and_loses_nothing(open_log: Opener, tmp_path: Path) -> None:
    _fill(open_log, tmp_path / "full", max_bytes=1 << 20)


def _fill(open_log: Opener, path: Path, **options: int) -> None:
    log = open_log(path, **options)
    acknowledged = 0
    with pytest.raises(StorageError, match="can't be written"):
        for _ in range(1_000):
            log.append(EVENTS, [Record(key_of(0), bytes(30_000)), Record(key_of(0), bytes(10))])
            acknowledged += 2
    assert acknowledged > 10
    assert [len(value) for value in values(log, 0)] == [30_000, 10] * (acknowledged // 2)
    with pytest.raises(StorageError):
        log.append(EVENTS, [Record(key_of(0), bytes(300_000))])
    assert log.end(EVENTS, 0) == acknowledged
    log.close()
    assert open_log(path, **options).end(EVENTS, 0) == acknowledged


def test_a_folder_that_is_no_log_is_named(open_log: Opener, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "data.mdb").write_bytes(b"something else" * 1_000)
    with pytest.raises(StorageError, match=f"can't open the event log at {tmp_path}/log"):
        open_log(tmp_path / "log")


def test_nothing_is_acknowledged_once_the_file_is_gone(open_log: Opener, tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", 1)
    log.append(EVENTS, [Record("a", b"1")])
    shutil.rmtree(tmp_path / "log")
    with pytest.raises(StorageError, match="removed or replaced while it was in use"):
        log.append(EVENTS, [Record("a", b"2")])

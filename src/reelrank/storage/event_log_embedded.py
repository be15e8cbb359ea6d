"""The event log in one memory-mapped LMDB file: many writing and reading processes, no server."""

import fcntl
import os
import threading
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import lmdb

from reelrank.storage.event_log import Record, StorageError, StoredRecord, partition_of


class _Pending:
    """An append that waits for the next commit."""

    def __init__(self, topic: str, records: Sequence[Record]) -> None:
        self.topic = topic
        self.records = records
        self.places: list[tuple[int, int]] | None = None
        self.error: StorageError | None = None


class EmbeddedEventLog:
    """An EventLog on disk at `path`; `max_bytes` bounds the file, which grows only as far as it is used.

    Appends that arrive together share one commit and so one fsync: the first one through the door commits
    for all that wait behind it.
    """

    def __init__(self, path: Path, partitions: int = 4, max_bytes: int = 1 << 38) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.partitions = partitions
        self._path = path
        try:
            self._env = lmdb.open(str(path), map_size=max_bytes, max_readers=1024, metasync=True, sync=True, readahead=False)
        except lmdb.Error as problem:
            raise StorageError(f"can't open the event log at {path}: {problem}") from problem
        self._env.reader_check()  # frees what killed readers left behind
        self._check_partitions()
        self._waiting: list[_Pending] = []
        self._waiting_lock = threading.Lock()
        self._commit_lock = threading.Lock()

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        pending = _Pending(topic, records)
        with self._waiting_lock:
            self._waiting.append(pending)
        with self._commit_lock:
            if pending.places is None and pending.error is None:
                with self._waiting_lock:
                    group, self._waiting = self._waiting, []
                self._commit(group)
        if pending.error is not None:
            raise pending.error
        assert pending.places is not None
        return pending.places

    def read(self, topic: str, partition: int, offset: int, at_most: int) -> list[StoredRecord]:
        prefix = _prefix(topic, partition)
        found: list[StoredRecord] = []
        with self._env.begin() as transaction:
            cursor = transaction.cursor()
            if not cursor.set_range(prefix + offset.to_bytes(8, "big")):
                return found
            for key, value in cursor.iternext():
                if len(found) >= at_most or not key.startswith(prefix):
                    break
                found.append(StoredRecord(int.from_bytes(key[-8:], "big"), value))
        return found

    def end(self, topic: str, partition: int) -> int:
        with self._env.begin() as transaction:
            return _end(transaction, _prefix(topic, partition))

    def wait(self, topic, offsets, timeout_s):
        import time

        until = time.monotonic() + timeout_s
        while True:
            ready = frozenset(p for p, o in offsets.items() if self.end(topic, p) > o)
            if ready or time.monotonic() >= until:
                return ready
            time.sleep(0.001)

    def join(self, group, topic="events"):
        class M:
            def __init__(s, n):
                s.n = n

            def partitions(s):
                return frozenset(range(s.n))

            def close(s):
                pass

        return M(self.partitions)

    def claim(self, group: str, partition: int) -> AbstractContextManager[None] | None:
        handle = os.open(self._path / f"{group}-{partition}.claim", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go when the process dies
        except BlockingIOError:
            os.close(handle)
            return None
        return _held(handle)

    def close(self) -> None:
        self._env.close()

    def _commit(self, group: list[_Pending]) -> None:
        try:
            with self._env.begin(write=True) as transaction:
                ends: dict[bytes, int] = {}
                cursor = transaction.cursor()
                placed: list[list[tuple[int, int]]] = []
                for pending in group:
                    places: list[tuple[int, int]] = []
                    for key, value, part in pending.records:
                        partition = partition_of(key, self.partitions) if part is None else part
                        prefix = _prefix(pending.topic, partition)
                        offset = ends[prefix] if prefix in ends else _end(transaction, prefix)
                        ends[prefix] = offset + 1
                        cursor.put(prefix + offset.to_bytes(8, "big"), value)
                        places.append((partition, offset))
                    placed.append(places)
        except BaseException as problem:  # whatever it was: nobody who waits may take it for done
            for pending in group:
                pending.error = StorageError(f"the event log at {self._path} can't be written: {problem}; is the disk full?")
            if not isinstance(problem, Exception):
                raise
            return
        for pending, places in zip(group, placed, strict=True):
            pending.places = places

    def _check_partitions(self) -> None:
        with self._env.begin(write=True) as transaction:
            stored = transaction.get(b"\0partitions")
            if stored is None:
                transaction.put(b"\0partitions", str(self.partitions).encode())
            elif int(stored) != self.partitions:
                self._env.close()
                raise StorageError(
                    f"the event log at {self._path} has {int(stored)} partitions, not {self.partitions}; "
                    f"set storage.partitions = {int(stored)}, or start a new log in another folder"
                )


def _prefix(topic: str, partition: int) -> bytes:
    return topic.encode() + b"\0" + partition.to_bytes(2, "big")


def _end(transaction: "lmdb.Transaction[bytes]", prefix: bytes) -> int:
    """One past the last offset below `prefix`."""
    cursor = transaction.cursor()
    found = cursor.set_range(prefix + b"\xff" * 8)
    found = cursor.prev() if found else cursor.last()
    last = bytes(cursor.key()) if found else b""
    return int.from_bytes(last[-8:], "big") + 1 if last.startswith(prefix) else 0


@contextmanager
def _held(handle: int) -> Generator[None]:
    try:
        yield
    finally:
        os.close(handle)

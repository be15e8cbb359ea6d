"""The event log in one memory-mapped LMDB file: many writing and reading processes, no server."""

import os
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, islice
from pathlib import Path

import lmdb

from reelrank.storage.event_log import EVENTS, Record, StorageError, StoredRecord, partition_of
from reelrank.storage.event_log_embedded_group import FileMembership

_LAYOUT = b"2"  # one table per topic and partition, offset -> value
_KEY = struct.Struct(">Q").pack
_FIRST_LOOK_S, _LAST_LOOK_S = 0.0005, 0.004  # between two looks for news; a look costs a few microseconds


class _Pending:
    """An append that waits for the next commit: its values by partition, and where each partition's begin once that is known."""

    def __init__(self, topic: str, values: Mapping[int, list[bytes]]) -> None:
        self.topic = topic
        self.values = values
        self.begins: dict[int, int] | None = None
        self.error: StorageError | None = None


class EmbeddedEventLog:
    """An EventLog on disk at `path`; `max_bytes` bounds the file, which grows only as far as it is used.

    Appends that arrive together share one commit and so one fsync: the first one through the door commits
    for all that wait behind it. An append is all or nothing.
    """

    def __init__(self, path: Path, partitions: int = 4, max_bytes: int = 1 << 38, durable: bool = True) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.partitions = partitions
        self._path = path
        try:
            # Room for the tables of the topics and then some; every transaction carries the room, used or not.
            tables = max(64, 6 * partitions)
            self._env = lmdb.open(str(path), map_size=max_bytes, max_readers=1024, max_dbs=tables, metasync=durable, sync=durable, readahead=False)
        except lmdb.Error as problem:
            raise StorageError(f"can't open the event log at {path}: {problem}") from problem
        self._inode = os.stat(path / "data.mdb").st_ino
        self._env.reader_check()  # frees what killed readers left behind
        self._check_layout()
        self._tables: dict[str, list[lmdb._Database]] = {}  # pyright: ignore[reportPrivateUsage]
        self._tables_lock = threading.Lock()
        self._waiting: list[_Pending] = []
        self._waiting_lock = threading.Lock()
        self._commit_lock = threading.Lock()

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        if not records:
            return []
        placed = [partition_of(key, self.partitions) if partition is None else partition for key, _, partition in records]
        if min(placed) < 0 or max(placed) >= self.partitions:
            raise StorageError(f"no partition {max(placed)} of {topic}; the event log at {self._path} has {self.partitions}, counted from 0")
        values: dict[int, list[bytes]] = defaultdict(list)
        for partition, record in zip(placed, records, strict=True):
            values[partition].append(record.value)
        pending = _Pending(topic, values)
        with self._waiting_lock:
            self._waiting.append(pending)
        with self._commit_lock:
            if pending.begins is None and pending.error is None:
                with self._waiting_lock:
                    group, self._waiting = self._waiting, []
                self._commit(group)
        if pending.error is not None:
            raise pending.error
        assert pending.begins is not None
        offsets = {partition: count(begin) for partition, begin in pending.begins.items()}
        return [(partition, next(offsets[partition])) for partition in placed]

    def read(self, topic: str, partition: int, offset: int, at_most: int) -> list[StoredRecord]:
        table = self._table(topic, partition)
        try:
            with self._env.begin() as transaction, transaction.cursor(table) as cursor:
                if at_most <= 0 or not cursor.set_range(_KEY(offset)):
                    return []
                if cursor.key() != _KEY(offset):
                    raise StorageError(f"partition {partition} of {topic} begins at {_number(cursor.key())}, {offset} is not kept any more")
                return list(map(StoredRecord, count(offset), islice(cursor.iternext(keys=False), at_most)))  # offsets have no gaps
        except lmdb.Error as problem:
            raise StorageError(f"the event log at {self._path} can't be read: {problem}") from problem

    def wait(self, topic: str, offsets: Mapping[int, int], timeout_s: float) -> frozenset[int]:
        deadline = time.monotonic() + timeout_s
        pause_s = _FIRST_LOOK_S
        while not (ready := frozenset(partition for partition, offset in offsets.items() if self.end(topic, partition) > offset)):
            if (left_s := deadline - time.monotonic()) <= 0:
                break
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, _LAST_LOOK_S)
        return ready

    def end(self, topic: str, partition: int) -> int:
        table = self._table(topic, partition)
        try:
            with self._env.begin() as transaction, transaction.cursor(table) as cursor:
                return _end(cursor)
        except lmdb.Error as problem:
            raise StorageError(f"the event log at {self._path} can't be read: {problem}") from problem

    def begin(self, topic: str, partition: int) -> int:
        table = self._table(topic, partition)
        try:
            with self._env.begin() as transaction, transaction.cursor(table) as cursor:
                return _number(cursor.key()) if cursor.first() else 0
        except lmdb.Error as problem:
            raise StorageError(f"the event log at {self._path} can't be read: {problem}") from problem

    def forget(self, topic: str, partition: int, before: int) -> None:
        table = self._table(topic, partition)
        try:
            with self._env.begin(write=True) as transaction, transaction.cursor(table) as cursor:
                before = min(before, _end(cursor) - 1)  # the last one tells where the next one goes
                while cursor.first() and _number(cursor.key()) < before:
                    cursor.delete()
        except lmdb.Error as problem:
            raise StorageError(f"the event log at {self._path} can't be written: {problem}; is the disk full?") from problem

    def join(self, group: str, topic: str = EVENTS) -> FileMembership:
        return FileMembership(self._path / "groups" / f"{group}.{topic}", self.partitions)

    def close(self) -> None:
        self._env.close()

    def _commit(self, group: Iterable[_Pending]) -> None:
        group = list(group)
        begins: list[dict[int, int]] = []
        try:
            tables = {pending.topic: self._tables_of(pending.topic) for pending in group}
            with self._env.begin(write=True) as transaction:
                cursors: dict[tuple[str, int], tuple[lmdb.Cursor[bytes], int]] = {}
                for pending in group:
                    begins.append({})
                    for partition, values in pending.values.items():
                        place = (pending.topic, partition)
                        if place not in cursors:  # other processes append too, so the end is what this transaction sees
                            cursor = transaction.cursor(tables[pending.topic][partition])
                            cursors[place] = cursor, _end(cursor)
                        cursor, begin = cursors[place]
                        _, added = cursor.putmulti(zip(map(_KEY, range(begin, begin + len(values))), values, strict=True), append=True)
                        if added != len(values):
                            raise StorageError(f"{added} of {len(values)} records went in at {begin} of partition {partition} of {pending.topic}")
                        cursors[place] = cursor, begin + len(values)
                        begins[-1][partition] = begin
            self._check_there()
        except BaseException as problem:  # whatever it was: nobody who waits may take it for done
            for pending in group:
                pending.error = StorageError(f"the event log at {self._path} can't be written: {problem}; is the disk full?")
            if not isinstance(problem, Exception):
                raise
            return
        for pending, found in zip(group, begins, strict=True):
            pending.begins = found

    def _check_there(self) -> None:
        """Raises StorageError when the file was removed or replaced: what is written to it then is in no folder any more."""
        try:
            there = os.stat(self._path / "data.mdb").st_ino == self._inode
        except FileNotFoundError:
            there = False
        if not there:
            raise StorageError("its file was removed or replaced while it was in use; start this process again")

    def _table(self, topic: str, partition: int) -> "lmdb._Database":  # pyright: ignore[reportPrivateUsage]
        return self._tables_of(topic)[partition]

    def _tables_of(self, topic: str) -> "list[lmdb._Database]":  # pyright: ignore[reportPrivateUsage]
        """The tables of a topic by partition, made when nobody has used the topic before."""
        if topic not in self._tables:
            with self._tables_lock:
                try:
                    with self._env.begin(write=True) as transaction:
                        names = [f"{topic}/{partition}".encode() for partition in range(self.partitions)]
                        tables = [self._env.open_db(name, transaction) for name in names]
                except lmdb.Error as problem:
                    raise StorageError(f"the event log at {self._path} has no room for {topic}: {problem}; is the disk full?") from problem
                self._tables[topic] = tables
        return self._tables[topic]

    def _check_layout(self) -> None:
        with self._env.begin(write=True) as transaction:
            stored = transaction.get(b"\0partitions")
            if stored is None:
                transaction.put(b"\0partitions", str(self.partitions).encode())
                transaction.put(b"\0layout", _LAYOUT)
                return
            layout = transaction.get(b"\0layout")
        problem = ""
        if layout != _LAYOUT:
            problem = "was written by another release; start a new log in another folder"
        elif int(stored) != self.partitions:
            problem = f"has {int(stored)} partitions, not {self.partitions}; set storage.partitions = {int(stored)}, or start a new log in another folder"
        if problem:
            self._env.close()
            raise StorageError(f"the event log at {self._path} {problem}")


def _end(cursor: "lmdb.Cursor[bytes]") -> int:
    """One past the last offset of a table."""
    return _number(cursor.key()) + 1 if cursor.last() else 0


def _number(key: bytes) -> int:
    """The offset that a key stands for."""
    return int.from_bytes(key, "big")

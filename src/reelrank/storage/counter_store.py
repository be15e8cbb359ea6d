"""CounterStore: the counters of videos, authors, tags, sounds and surfaces on this machine, in one memory-mapped LMDB file."""

import fcntl
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import lmdb
import numpy as np
from numpy.typing import NDArray

from reelrank.storage.event_log import StorageError

Keys = NDArray[np.int64]  # dense rows; of two things together the first one's << 32 | the second one's

_COUNTER, _OFFSETS, _FORMAT, _TOUCHED = b"c", b"o", b"f", b"t"
_TOUCHED_KEPT = 1_024  # commits whose keys are remembered for those who follow along
_TOUCHED_MOST = 4_096  # keys; of a commit with more only that is remembered: who follows along then looks at everything
_TOO_MANY = b"*"
_KEY_BYTES = 10  # prefix, kind, key
_READ_AHEAD = 0.25  # of the machine's memory
_PIECE = 1 << 20  # bytes


_NO_KEYS: Keys = np.empty(0, dtype=np.int64)
_TOUCHED_DTYPE = np.dtype([("kind", "u1"), ("key", "<i8")])


class Kind(IntEnum):
    """Whose counters. The numbers are part of the stored format."""

    VIDEO = 1
    AUTHOR = 2
    TAG = 3
    SOUND = 4
    PLACE_VIDEO = 5
    EVERYTHING = 6  # key 0: the whole app, the prior of all rates
    SURFACE = 7  # its number
    SURFACE_VIDEO = 8
    SURFACE_LENGTH = 9  # videos of about one length on one surface


class Position(NamedTuple):
    """How far the counters are folded, per partition."""

    origins: tuple[int, ...]  # the events below these offsets are counted
    signals: tuple[int, ...]  # where in SIGNALS to read on


class CountersRead(NamedTuple):
    """What one read saw: all of it from the same moment."""

    records: dict[Kind, list[bytes]]  # aligned to the keys that were asked for; empty where nothing was counted
    origins: tuple[int, ...]


class CounterSnapshot:
    """The counters as of one commit, for as long as the block lasts that opened it."""

    def __init__(self, transaction: "lmdb.Transaction[bytes]", partitions: int) -> None:
        self._transaction = transaction
        self._partitions = partitions

    @property
    def position(self) -> Position:
        """How far the counters are folded."""
        stored = self._transaction.get(_OFFSETS)
        if stored is None:
            return Position((0,) * self._partitions, (0,) * self._partitions)
        origins, signals = np.frombuffer(stored, dtype="<i8").reshape(2, self._partitions).tolist()
        return Position(tuple(origins), tuple(signals))

    @property
    def origins(self) -> tuple[int, ...]:
        """Per partition, how much of the log they stand for."""
        return self.position.origins

    def read(self, keys: Mapping[Kind, Keys]) -> dict[Kind, list[bytes]]:
        """Records, aligned to the keys; empty where nothing was counted."""
        get = self._transaction.get
        return {kind: [get(name, b"") for name in _stored_keys(kind, wanted)] for kind, wanted in keys.items()}

    def touched(self, since: int) -> tuple[int, dict[Kind, Keys] | None]:
        """Which keys the commits from number `since` on have written, and the number to go on with; None where too much has happened since."""
        end = self.commits
        if not max(0, end - _TOUCHED_KEPT) <= since <= end:
            return end, None
        if since == end:
            return end, dict.fromkeys(Kind, _NO_KEYS)
        commits = [self._transaction.get(_TOUCHED + number.to_bytes(8, "big"), b"") for number in range(since, end)]
        if _TOO_MANY in commits:
            return end, None
        names = np.frombuffer(b"".join(commits), dtype=_TOUCHED_DTYPE)
        return end, {kind: np.unique(names["key"][names["kind"] == kind]).astype(np.int64) for kind in Kind}

    @property
    def commits(self) -> int:
        """How many there were."""
        cursor = self._transaction.cursor()
        last = cursor.last() and cursor.key()  # nothing sorts behind this prefix
        return int.from_bytes(last[1:], "big") + 1 if last and last[:1] == _TOUCHED else 0


class CounterStore:
    """One packed record per (kind, key); what is in it is the matter of who writes it.

    One process of a machine folds, any number read. A commit survives `kill -9`; after a power cut the last commits
    may be gone together with their position, and are folded again from the log.
    """

    def __init__(self, path: Path, partitions: int, max_bytes: int = 1 << 38, durable: bool = True) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.partitions = partitions
        self._path = path
        try:
            self._env = lmdb.open(str(path), map_size=max_bytes, max_readers=1024, metasync=False, sync=durable, readahead=False)
        except lmdb.Error as problem:
            raise StorageError(f"can't open the counters at {path}: {problem}") from problem
        self._env.reader_check()
        self._check_format()

    @contextmanager
    def snapshot(self) -> Generator[CounterSnapshot]:
        """Everything as of the last commit, whatever is committed while the block lasts."""
        with self._env.begin() as transaction:
            yield CounterSnapshot(transaction, self.partitions)

    def read(self, keys: Mapping[Kind, Keys]) -> CountersRead:
        """Many records in one call."""
        with self.snapshot() as snapshot:
            return CountersRead(snapshot.read(keys), snapshot.origins)

    def touched(self, since: int) -> tuple[int, dict[Kind, Keys] | None]:
        """As that of a snapshot."""
        with self.snapshot() as snapshot:
            return snapshot.touched(since)

    def scan(self, kind: Kind, low: int = 0, high: int = 2**63 - 1, at_most: int = 2**63 - 1) -> tuple[Keys, list[bytes]]:
        """The keys in [low, high) that have a record, ascending, with it: all of them, or the first `at_most`."""
        first, last = _stored_key(kind, low), _stored_key(kind, high)
        names: list[bytes] = []
        records: list[bytes] = []
        with self._env.begin() as transaction:
            cursor = transaction.cursor()
            if cursor.set_range(first):
                for name, record in cursor.iternext():
                    if name >= last or len(names) >= at_most:
                        break
                    names.append(name[2:])
                    records.append(record)
        return np.frombuffer(b"".join(names), dtype=">i8").astype(np.int64), records

    def position(self) -> Position:
        """How far the counters are folded."""
        with self.snapshot() as snapshot:
            return snapshot.position

    def commit(self, before: Position, after: Position, records: Mapping[Kind, tuple[Keys, Sequence[bytes]]]) -> None:
        """Writes records and moves the position, all or nothing. Raises StorageError, also when the position is not `before` any more."""
        try:
            with self._env.begin(write=True) as transaction:
                if CounterSnapshot(transaction, self.partitions).position != before:
                    raise StorageError(f"the counters at {self._path} were folded by another process in the meantime")
                cursor = transaction.cursor()
                for kind, (keys, values) in records.items():
                    cursor.putmulti(list(zip(_stored_keys(kind, keys), values, strict=True)))
                self._touch(transaction, records)
                transaction.put(_OFFSETS, np.array(after, dtype="<i8").tobytes())
        except lmdb.Error as problem:
            raise StorageError(f"the counters at {self._path} can't be written: {problem}; is the disk full?") from problem

    def claim(self) -> AbstractContextManager[None] | None:
        """Makes the caller the one who folds on this machine until it lets go or dies; None if another process is."""
        handle = os.open(self._path / "follower.claim", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go when the process dies
        except BlockingIOError:
            os.close(handle)
            return None
        return _held(handle)

    def read_ahead(self) -> int:
        """Has the kernel bring the file into memory, where that is no more than a part of it, and returns how many bytes that are.

        Pages are read one by one where they are needed: the first thousands of requests of a machine would wait for the disk, and pay
        for each page more than for the records on it.
        """
        handle = os.open(self._path / "data.mdb", os.O_RDONLY)
        with _held(handle):
            size = os.fstat(handle).st_size
            if size > _READ_AHEAD * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") or not hasattr(os, "posix_fadvise"):
                return 0
            for start in range(0, size, _PIECE):  # of more at once the kernel reads only the beginning
                os.posix_fadvise(handle, start, _PIECE, os.POSIX_FADV_WILLNEED)
            return size

    def used_bytes(self) -> int:
        """What the records take on disk, free pages not counted."""
        stat = self._env.stat()
        return stat["psize"] * (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"])

    def close(self) -> None:
        self._env.close()

    def _touch(self, transaction: "lmdb.Transaction[bytes]", records: Mapping[Kind, tuple[Keys, Sequence[bytes]]]) -> None:
        """Remembers what this commit writes, and forgets what one long ago has written."""
        names = np.empty(sum(len(keys) for keys, _ in records.values()), dtype=_TOUCHED_DTYPE)
        at = 0
        for kind, (keys, _) in records.items():
            names["kind"][at : at + len(keys)], names["key"][at : at + len(keys)] = kind, keys
            at += len(keys)
        number = CounterSnapshot(transaction, self.partitions).commits
        transaction.put(_TOUCHED + number.to_bytes(8, "big"), names.tobytes() if len(names) <= _TOUCHED_MOST else _TOO_MANY)
        if number >= _TOUCHED_KEPT:
            transaction.delete(_TOUCHED + (number - _TOUCHED_KEPT).to_bytes(8, "big"))

    def _check_format(self) -> None:
        mine = f"3 partitions={self.partitions}".encode()
        with self._env.begin(write=True) as transaction:
            stored = transaction.get(_FORMAT)
            if stored is None:
                transaction.put(_FORMAT, mine)
            elif stored != mine:
                self._env.close()
                raise StorageError(
                    f"the counters at {self._path} were written as '{bytes(stored).decode()}', now they would be '{mine.decode()}'; "
                    "remove that folder: the stream folds it again from the event log"
                )


def _stored_key(kind: Kind, key: int) -> bytes:
    return _COUNTER + bytes((kind,)) + key.to_bytes(8, "big")


def _stored_keys(kind: Kind, keys: Keys) -> list[bytes]:
    """The stored names of many records, built as one array of bytes."""
    table = np.empty((len(keys), _KEY_BYTES), dtype=np.uint8)
    table[:, 0] = _COUNTER[0]
    table[:, 1] = kind
    table[:, 2:] = np.asarray(keys, dtype=">i8").view(np.uint8).reshape(-1, 8)
    raw = table.tobytes()
    return [raw[start : start + _KEY_BYTES] for start in range(0, len(raw), _KEY_BYTES)]


@contextmanager
def _held(handle: int) -> Generator[None]:
    try:
        yield
    finally:
        os.close(handle)

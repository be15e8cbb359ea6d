"""The online store in one memory-mapped LMDB file: one folding process at a time, any number of readers."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import lmdb
import numpy as np

from reelrank.storage.event_log import StorageError
from reelrank.storage.online_store import Counters, Fold, Keys, Kind, Snapshot

_USER, _COUNTER, _OFFSET, _REPEAT, _FORMAT = b"u", b"c", b"o", b"r", b"f"
_COUNTER_KEY_BYTES = 10  # prefix, kind, key


class EmbeddedOnlineStore:
    """An OnlineStore on disk at `path`, whose counters are records of `counter_width` int32.

    A commit survives `kill -9`. After a power cut the last commits may be gone; the offset goes with them,
    so they are simply folded again from the log.
    """

    def __init__(self, path: Path, partitions: int, counter_width: int, repeat_window: int = 1_000_000, max_bytes: int = 1 << 38, durable: bool = True) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.partitions = partitions
        self.counter_width = counter_width
        self.repeat_window = repeat_window
        self._path = path
        try:
            self._env = lmdb.open(str(path), map_size=max_bytes, max_readers=1024, metasync=False, sync=durable, readahead=False)
        except lmdb.Error as problem:
            raise StorageError(f"can't open the online store at {path}: {problem}") from problem
        self._env.reader_check()
        self._check_format()

    def read(self, user_ids: Sequence[str], keys: Mapping[Kind, Keys]) -> Snapshot:
        with self._env.begin() as transaction:
            return Snapshot(
                [transaction.get(_USER + user_id.encode()) for user_id in user_ids],
                {kind: _read_counters(transaction, kind, wanted, self.counter_width) for kind, wanted in keys.items()},
                _read_offsets(transaction, self.partitions),
            )

    @contextmanager
    def _folding(self, partition: int) -> Generator[Fold]:
        try:
            transaction = self._env.begin(write=True)
            try:
                yield _EmbeddedFold(transaction, partition, self)
            finally:
                transaction.abort()  # does nothing after a commit
        except lmdb.Error as problem:
            raise StorageError(f"the online store at {self._path} can't be written: {problem}; is the disk full?") from problem

    def fold(self, partition: int) -> AbstractContextManager[Fold]:
        return self._folding(partition)

    def scan_users(self) -> Iterator[tuple[str, bytes]]:
        with self._env.begin() as transaction:
            cursor = transaction.cursor()
            if cursor.set_range(_USER):
                for key, value in cursor.iternext():
                    if not key.startswith(_USER):
                        break
                    yield key[1:].decode(), value

    def scan_counters(self, kind: Kind, low: int = 0, high: int = 2**63 - 1) -> tuple[Keys, Counters]:
        prefix, last = _counter_key(kind, 0)[:2], _counter_key(kind, high)
        keys: list[bytes] = []
        values: list[bytes] = []
        with self._env.begin() as transaction:
            cursor = transaction.cursor()
            if cursor.set_range(_counter_key(kind, low)):
                for key, value in cursor.iternext():
                    if key >= last or not key.startswith(prefix):
                        break
                    keys.append(key[2:])
                    values.append(value)
        return (
            np.frombuffer(b"".join(keys), dtype=">i8").astype(np.int64),
            np.frombuffer(b"".join(values), dtype="<i4").astype(np.int32).reshape(len(values), self.counter_width),
        )

    def offsets(self) -> tuple[int, ...]:
        with self._env.begin() as transaction:
            return _read_offsets(transaction, self.partitions)

    def close(self) -> None:
        self._env.close()

    def _check_format(self) -> None:
        mine = f"1 width={self.counter_width} partitions={self.partitions} repeat_window={self.repeat_window}".encode()
        with self._env.begin(write=True) as transaction:
            stored = transaction.get(_FORMAT)
            if stored is None:
                transaction.put(_FORMAT, mine)
            elif stored != mine:
                self._env.close()
                raise StorageError(
                    f"the online store at {self._path} was written as '{bytes(stored).decode()}', now it would be '{mine.decode()}'; "
                    "remove that folder: the stream folds it again from the event log"
                )


class _EmbeddedFold:
    """The open transaction of one partition."""

    def __init__(self, transaction: "lmdb.Transaction[bytes]", partition: int, store: EmbeddedOnlineStore) -> None:
        self._transaction = transaction
        self._partition = partition.to_bytes(2, "big")
        self._store = store
        self.offset = int.from_bytes(transaction.get(_OFFSET + self._partition) or b"", "big")

    def users(self, user_ids: Sequence[str]) -> list[bytes | None]:
        return [self._transaction.get(_USER + user_id.encode()) for user_id in user_ids]

    def put_users(self, records: Mapping[str, bytes]) -> None:
        cursor = self._transaction.cursor()
        for user_id in sorted(records):  # neighbours share pages
            cursor.put(_USER + user_id.encode(), records[user_id])

    def counters(self, kind: Kind, keys: Keys) -> Counters:
        return _read_counters(self._transaction, kind, keys, self._store.counter_width)

    def put_counters(self, kind: Kind, keys: Keys, values: Counters) -> None:
        if len(keys) == 0:
            return
        names = _counter_keys(kind, keys)
        raw = np.ascontiguousarray(values, dtype="<i4").tobytes()
        size = 4 * self._store.counter_width
        cursor = self._transaction.cursor()
        cursor.putmulti([(name, raw[place * size : (place + 1) * size]) for place, name in enumerate(names)])

    def first_time(self, offset: int, fingerprints: Sequence[bytes]) -> list[bool]:
        window = self._store.repeat_window
        prefix = _REPEAT + self._partition
        put, get = self._transaction.cursor().put, self._transaction.get
        fresh: list[bool] = []
        for place, fingerprint in enumerate(fingerprints, start=offset):
            generation = place // window
            before = generation > 0 and get(prefix + (generation - 1).to_bytes(4, "big") + fingerprint) is not None
            fresh.append(not before and put(prefix + generation.to_bytes(4, "big") + fingerprint, b"", overwrite=False))
        self._forget(prefix, (offset // window) - 1, 2 * len(fingerprints))
        return fresh

    def _forget(self, prefix: bytes, generation: int, at_most: int) -> None:
        """Removes a few fingerprints older than `generation`, so that no single fold has to remove them all."""
        if generation <= 0:
            return
        cursor = self._transaction.cursor()
        last = prefix + generation.to_bytes(4, "big")
        for _ in range(at_most):
            if not cursor.set_range(prefix) or cursor.key() >= last:
                return
            cursor.delete()

    def commit(self, offset: int) -> None:
        self.offset = offset
        self._transaction.put(_OFFSET + self._partition, offset.to_bytes(8, "big"))
        self._transaction.commit()


def _counter_key(kind: Kind, key: int) -> bytes:
    return _COUNTER + bytes((kind,)) + key.to_bytes(8, "big")


def _counter_keys(kind: Kind, keys: Keys) -> list[bytes]:
    """The stored keys of many counters, built as one array of bytes."""
    table = np.empty((len(keys), _COUNTER_KEY_BYTES), dtype=np.uint8)
    table[:, 0] = _COUNTER[0]
    table[:, 1] = kind
    table[:, 2:] = np.asarray(keys, dtype=">i8").view(np.uint8).reshape(-1, 8)
    raw = table.tobytes()
    return [raw[start : start + _COUNTER_KEY_BYTES] for start in range(0, len(raw), _COUNTER_KEY_BYTES)]


def _read_counters(transaction: "lmdb.Transaction[bytes]", kind: Kind, keys: Keys, width: int) -> Counters:
    nothing = bytes(4 * width)
    get = transaction.get
    return np.frombuffer(b"".join([get(name, nothing) for name in _counter_keys(kind, keys)]), dtype="<i4").astype(np.int32).reshape(len(keys), width)


def _read_offsets(transaction: "lmdb.Transaction[bytes]", partitions: int) -> tuple[int, ...]:
    return tuple(int.from_bytes(transaction.get(_OFFSET + partition.to_bytes(2, "big")) or b"", "big") for partition in range(partitions))

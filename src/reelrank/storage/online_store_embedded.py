"""The online store in one memory-mapped LMDB file: commits take turns, any number of processes read."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import lmdb

from reelrank.storage.event_log import StorageError, partition_of
from reelrank.storage.fingerprints import FingerprintBlocks, check_commit
from reelrank.storage.online_store import FoldConflict, Snapshot

_FORMAT_NUMBER = 3  # of what is stored here and of the records themselves; a new one makes the stream fold again
_USER, _PART, _OFFSET, _RECENT, _FORMAT = b"u", b"p", b"o", b"r", b"f"
# LMDB keeps a value of more than about 2 kB outside its tree, on whole pages of 4,096 bytes with a head of 16; in the tree pages
# are two thirds full. So a long record is cut into parts: as many as fill a page each, then what is left, in pieces of which
# several fit on a page of the tree, unless it nearly fills a page as well. (Records of 6.0 kB take 7.5 kB; as one value 8.3 kB.)
_PAGE_ROOM = 4_080
_PAGE_WORTH = 2_800
_PIECE = 1_400
_BLOCK = _PAGE_ROOM // 8  # fingerprints that fill a page

Transaction = lmdb.Transaction


class EmbeddedOnlineStore:
    """An OnlineStore on disk at `path`.

    A commit survives `kill -9`. After a power cut the last commits may be gone; the offset goes with them,
    so they are simply folded again from the log.
    """

    def __init__(self, path: Path, partitions: int, repeat_window: int = 1_000_000, max_bytes: int = 1 << 38, durable: bool = True) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.partitions = partitions
        self._path = path
        self._format = f"{_FORMAT_NUMBER} partitions={partitions} repeat_window={repeat_window}"
        self._blocks = FingerprintBlocks(_BLOCK, repeat_window)
        try:
            self._env = lmdb.open(str(path), map_size=max_bytes, max_readers=1024, metasync=False, sync=durable, readahead=False)
        except lmdb.Error as problem:
            raise StorageError(f"can't open the online store at {path}: {problem}") from problem
        self._env.reader_check()
        self._check_format()

    def read(self, user_ids: Sequence[str]) -> Snapshot:
        try:
            with self._env.begin() as transaction:
                return Snapshot(
                    [_read_user(transaction, user_id.encode()) for user_id in user_ids],
                    [_read_offset(transaction, partition_of(user_id, self.partitions)) for user_id in user_ids],
                )
        except lmdb.Error as problem:
            raise self._unreadable(problem) from problem

    def commit(self, partition: int, folded_from: int, folded_to: int, users: Mapping[str, bytes], fingerprints: bytes) -> None:
        check_commit(partition, folded_from, folded_to, fingerprints)
        records = sorted((user_id.encode(), record) for user_id, record in users.items())  # neighbours share pages
        try:
            with self._env.begin(write=True) as transaction:
                stands_at = _read_offset(transaction, partition)
                if stands_at != folded_from:
                    raise FoldConflict(f"partition {partition} is folded up to {stands_at}, not {folded_from}: somebody else folded it in the meantime")
                for user_id, record in records:
                    _write_user(transaction, user_id, record)
                self._write_recent(transaction, partition, folded_from, folded_to, fingerprints)
                transaction.put(_offset_key(partition), folded_to.to_bytes(8, "big"))
        except lmdb.Error as problem:
            raise StorageError(f"the online store at {self._path} can't be written: {problem}; is the disk full?") from problem

    def recent(self, partition: int) -> tuple[int, int, bytes]:
        try:
            with self._env.begin() as transaction:
                folded_to = _read_offset(transaction, partition)
                kept = self._blocks.kept(folded_to)
                return kept.start * _BLOCK, folded_to, b"".join(transaction.get(_block_key(partition, block), b"") for block in kept)
        except lmdb.Error as problem:
            raise self._unreadable(problem) from problem

    def scan_users(self) -> Iterator[tuple[str, bytes]]:
        with self._env.begin() as transaction:
            cursor = transaction.cursor()
            if cursor.set_range(_USER):
                for key, value in cursor.iternext():
                    if not key.startswith(_USER):
                        break
                    yield key[1:].decode(), _joined(transaction, key[1:], value)

    def offsets(self) -> tuple[int, ...]:
        try:
            with self._env.begin() as transaction:
                return tuple(_read_offset(transaction, partition) for partition in range(self.partitions))
        except lmdb.Error as problem:
            raise self._unreadable(problem) from problem

    def close(self) -> None:
        self._env.close()

    def _write_recent(self, transaction: "Transaction[bytes]", partition: int, folded_from: int, folded_to: int, fingerprints: bytes) -> None:
        for block in self._blocks.outdated(folded_from, folded_to):
            transaction.delete(_block_key(partition, block))
        for block, at, data in self._blocks.pieces(folded_from, folded_to, fingerprints):
            key = _block_key(partition, block)
            transaction.put(key, transaction.get(key, b"") + data if at else data)

    def _check_format(self) -> None:
        with self._env.begin(write=True) as transaction:
            stored = transaction.get(_FORMAT)
            if stored is None:
                transaction.put(_FORMAT, self._format.encode())
            elif stored != self._format.encode():
                self._env.close()
                raise StorageError(
                    f"the online store at {self._path} was written as '{bytes(stored).decode()}', now it would be '{self._format}'; "
                    "remove that folder: the stream folds it again from the event log"
                )

    def _unreadable(self, problem: lmdb.Error) -> StorageError:
        return StorageError(f"the online store at {self._path} can't be read: {problem}")


def _read_user(transaction: "Transaction[bytes]", user_id: bytes) -> bytes | None:
    value = transaction.get(_USER + user_id)
    return None if value is None else _joined(transaction, user_id, value)


def _joined(transaction: "Transaction[bytes]", user_id: bytes, value: bytes) -> bytes:
    """The record whose last part is `value`, after a byte that says how many parts come before it."""
    parts = value[0]
    if parts == 0:
        return value[1:]
    return b"".join([*(transaction.get(_part_key(user_id, part), b"") for part in range(parts)), value[1:]])


def _write_user(transaction: "Transaction[bytes]", user_id: bytes, record: bytes) -> None:
    cuts = _cuts(len(record))
    parts, key = len(cuts) - 1, _USER + user_id
    before = transaction.get(key)
    for part in range(parts, before[0] if before else 0):
        transaction.delete(_part_key(user_id, part))
    for part in range(parts):
        transaction.put(_part_key(user_id, part), record[cuts[part] : cuts[part + 1]])
    transaction.put(key, parts.to_bytes(1, "big") + record[cuts[-1] :])


def _cuts(length: int) -> list[int]:
    """Where the parts of a record begin; the last part is the value of the user's own key."""
    pages = length // _PAGE_ROOM * _PAGE_ROOM
    rest = length - pages
    pieces = 1 if rest > _PAGE_WORTH else max(1, -(-rest // _PIECE))
    return [*range(0, pages, _PAGE_ROOM), *(pages + rest * piece // pieces for piece in range(pieces))]


def _read_offset(transaction: "Transaction[bytes]", partition: int) -> int:
    return int.from_bytes(transaction.get(_offset_key(partition), b""), "big")


def _offset_key(partition: int) -> bytes:
    return _OFFSET + partition.to_bytes(2, "big")


def _block_key(partition: int, block: int) -> bytes:
    return _RECENT + partition.to_bytes(2, "big") + block.to_bytes(6, "big")


def _part_key(user_id: bytes, part: int) -> bytes:
    return _PART + user_id + part.to_bytes(1, "big")

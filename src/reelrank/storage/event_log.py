"""EventLog: what happened, durably and in order per partition; the one source that everything else can be made from."""

import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

EVENTS = "events"  # accepted events, partitioned by their key
DEAD_LETTERS = "dead_letters"  # what was refused, with the reason


class Record(NamedTuple):
    """What a writer appends: `key` decides the partition, `value` is kept as it is."""

    key: str
    value: bytes


class StoredRecord(NamedTuple):
    """What a reader gets: a value and its place in the partition."""

    offset: int
    value: bytes


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key: the same on every machine and in every release."""
    return zlib.crc32(key.encode()) % partitions


class EventLog(Protocol):
    """Appends durably and in order per partition; reads from an offset; hands each partition to one reader of a group.

    Offsets start at 0 and grow by one per record. A record that `append` has returned for survives `kill -9`.
    """

    partitions: int

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        """Appends all records or none, and returns (partition, offset) of each once they are durable.

        Raises StorageError when they can't be made durable; then none was acknowledged.
        """
        ...

    def read(self, topic: str, partition: int, offset: int, at_most: int) -> list[StoredRecord]:
        """Up to `at_most` records from `offset` on; empty at the end. Sees what any process has appended."""
        ...

    def end(self, topic: str, partition: int) -> int:
        """The offset that the next record of this partition will get."""
        ...

    def claim(self, group: str, partition: int) -> AbstractContextManager[None] | None:
        """Makes the caller this group's only reader of a partition until it lets go or dies; None if another one is."""
        ...

    def close(self) -> None: ...


class StorageError(Exception):
    """A store could not do what it was asked for; the message says what and what to do about it."""

"""EventLog: what happened, durably and in order per partition; the one source that everything else can be made from."""

import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

EVENTS = "events"  # accepted events, partitioned by their key
DEAD_LETTERS = "dead_letters"  # what was refused, with the reason
SIGNALS = "signals"  # the events of a partition as increments per video, author, tag, sound …; partition p holds those of partition p of EVENTS
EXAMPLES = "examples"  # what was served joined with what followed; partitioned as EVENTS
MODEL_ROWS = "model_rows"  # rows of embedding tables as they are learned, in partition 0; what a newer artifact holds is let go of
TOPICS = (EVENTS, DEAD_LETTERS, SIGNALS, EXAMPLES, MODEL_ROWS)


class Record(NamedTuple):
    """What a writer appends: `key` decides the partition unless `partition` does, `value` is kept as it is."""

    key: str
    value: bytes
    partition: int | None = None


class StoredRecord(NamedTuple):
    """What a reader gets: a value and its place in the partition."""

    offset: int
    value: bytes


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key: the same on every machine and in every release."""
    return zlib.crc32(key.encode()) % partitions


class Membership(Protocol):
    """One reader's part in a group whose members share the partitions of a topic: each partition belongs to one of them."""

    def partitions(self) -> frozenset[int]:
        """The partitions that are this member's right now.

        To be called at least every second: it is how a member shows that it lives and takes part in the next
        division. A member that dies loses its partitions to the others. For a moment two members may both believe
        that a partition is theirs: what they write must bear it (a store refuses the second commit of an offset).
        """
        ...

    def close(self) -> None:
        """Leaves the group; the others take over at once."""
        ...


class EventLog(Protocol):
    """Appends durably and in order per partition; reads from an offset; divides partitions among the readers of a group.

    Offsets start at 0 and grow. A record that `append` has returned for survives `kill -9`.
    """

    partitions: int

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        """Appends the records and returns (partition, offset) of each once all are durable.

        Records of one call to one partition keep their order. Raises StorageError when they can't be made durable (in time):
        then none counts as acknowledged, though some may be in the log: who sends them again makes repeats.
        """
        ...

    def read(self, topic: str, partition: int, offset: int, at_most: int) -> list[StoredRecord]:
        """Up to `at_most` records from `offset` on; empty only at the end. Sees what any process has appended.

        Raises StorageError when the log is away, or no longer holds that offset.
        """
        ...

    def wait(self, topic: str, offsets: Mapping[int, int], timeout_s: float) -> frozenset[int]:
        """Waits until a partition has a record at or after its offset in `offsets`; the partitions that have, none after `timeout_s`."""
        ...

    def end(self, topic: str, partition: int) -> int:
        """The offset that the next record of this partition will get."""
        ...

    def begin(self, topic: str, partition: int) -> int:
        """The offset of the first record that is kept; where none ever was, 0."""
        ...

    def forget(self, topic: str, partition: int, before: int) -> None:
        """Lets go of the records before an offset, for good; the last record of a partition stays. Nothing happens where they are gone already."""
        ...

    def join(self, group: str, topic: str = EVENTS) -> Membership:
        """Becomes a member of a group of readers of `topic`."""
        ...

    def close(self) -> None: ...


class StorageError(Exception):
    """A store could not do what it was asked for; the message says what and what to do about it."""

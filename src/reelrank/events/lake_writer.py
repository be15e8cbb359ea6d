"""The lake writer: copies events and examples from the log to the lake's tables, each record exactly once."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from reelrank.domain.clock import Clock
from reelrank.domain.example import PROGRESS, Example, Origins, decode_example
from reelrank.events.lake_rows import event_rows, example_rows
from reelrank.storage.event_log import EVENTS, EXAMPLES, EventLog, StorageError, StoredRecord
from reelrank.storage.lake import Lake, LakeConflict
from reelrank.storage.lake_schema import EVENTS_TABLE, EXAMPLES_TABLE

if TYPE_CHECKING:
    from deltalake import DeltaTable

logger = logging.getLogger(__name__)

GROUP = "lake"
TABLE_OF = {EVENTS: EVENTS_TABLE, EXAMPLES: EXAMPLES_TABLE}
_LOOK_S = 0.5  # how often to look for news: a member has to show that it lives
_READ_ROWS = 5_000
_PART_BITS = 24  # a position is one number: an origin is its offset and, below, its part


def position_name(topic: str, partition: int) -> str:
    """The position that says how far a partition of a topic is copied."""
    return f"{topic}-{partition}"


def _origin_name(partition: int) -> str:
    """The position that says which origin of EXAMPLES was copied last: one past it, 0 for none."""
    return f"{EXAMPLES}-origin-{partition}"


def _packed(origin: tuple[int, int]) -> int:
    return (origin[0] << _PART_BITS | origin[1]) + 1


def _unpacked(position: int) -> tuple[int, int]:
    return (position - 1) >> _PART_BITS, (position - 1) & ((1 << _PART_BITS) - 1)


def copied_to(examples: "DeltaTable", partition: int) -> tuple[int, tuple[int, int] | None]:
    """How far a partition of EXAMPLES is copied to this version of the table: the offset to go on from, and the last origin, None before the first."""
    position = examples.transaction_version(_origin_name(partition)) or 0
    return examples.transaction_version(position_name(EXAMPLES, partition)) or 0, _unpacked(position) if position else None


class LakeWriter:
    """Copies the partitions that this member of the group holds. What is copied, the tables themselves say."""

    def __init__(self, log: EventLog, lake: Lake, clock: Clock) -> None:
        self._log = log
        self._lake = lake
        self._clock = clock
        self._at: dict[str, int] = {}  # positions as they were last seen; others may have moved them
        self.copied = dict.fromkeys(TABLE_OF, 0)  # records per topic since the process began

    def flush(self, topic: str, partitions: Iterable[int]) -> int:
        """Copies the next records of a topic, in one commit; returns how many, 0 at the end of the log.

        Raises StorageError if the log or the lake is away; a later call goes on after what was really committed.
        """
        partitions = sorted(partitions)
        positions = self._positions(topic, partitions)
        room = self._lake.config.flush_rows
        frames: list[pl.DataFrame] = []
        moves: dict[str, tuple[int, int]] = {}
        copied = 0
        for partition in partitions:
            name = position_name(topic, partition)
            records = self._read(topic, partition, positions[name], -(-room // len(partitions)))
            if not records:
                continue
            copied += len(records)
            moves[name] = (positions[name], records[-1].offset + 1)
            if topic == EVENTS:
                frames.append(event_rows(partition, records))
            else:
                frames.append(self._examples(partition, records, positions, moves))
        if moves:
            self._lake.append(TABLE_OF[topic], pl.concat(frames), moves)
            self._at |= {name: after for name, (_, after) in moves.items()}
            self.copied[topic] += copied
        return copied

    def follow(self, stopping: Callable[[], bool]) -> None:
        """Copies what comes until `stopping` says so, and keeps the tables tidy."""
        config = self._lake.config
        member = self._log.join(GROUP)
        flushed_at = dict.fromkeys(TABLE_OF, -config.flush_s)
        maintained_at = time.monotonic()
        try:
            while not stopping():
                busy = False
                try:
                    mine = member.partitions()
                    for topic in TABLE_OF:
                        waiting = self.lag(topic, mine)
                        if waiting >= config.flush_rows or (waiting and time.monotonic() - flushed_at[topic] >= config.flush_s):
                            flushed_at[topic] = time.monotonic()
                            busy = self.flush(topic, mine) >= config.flush_rows or busy
                    if 0 in mine and time.monotonic() - maintained_at >= config.maintain_s:
                        maintained_at = time.monotonic()
                        self.maintain()
                except LakeConflict as problem:  # the partitions are being divided anew
                    logger.info("%s", problem)
                except StorageError as problem:
                    logger.warning("the lake waits: %s", problem)
                if not busy:
                    time.sleep(_LOOK_S)
        finally:
            member.close()

    def catch_up(self) -> int:
        """Copies everything to the end of the log as it is now; returns how many records that took."""
        everything = range(self._log.partitions)
        copied = 0
        for topic in TABLE_OF:
            while count := self.flush(topic, everything):
                copied += count
        return copied

    def maintain(self) -> dict[str, int]:
        """Compacts days, deletes old ones, and removes files that nobody needs; says how many files, rows and files that were."""
        today = datetime.fromtimestamp(self._clock.now(), UTC).date()
        return {"compacted": self._lake.compact(today), "deleted_rows": self._lake.forget(today), "vacuumed": self._lake.vacuum()}

    def lag(self, topic: str, partitions: Iterable[int]) -> int:
        """How many records of a topic wait to be copied, as far as this process knows."""
        names = {partition: position_name(topic, partition) for partition in partitions}
        if not self._at.keys() >= set(names.values()):
            self._positions(topic, names)
        return sum(max(0, self._log.end(topic, partition) - self._at[name]) for partition, name in names.items())

    def _positions(self, topic: str, partitions: Iterable[int]) -> dict[str, int]:
        names = [position_name(topic, partition) for partition in partitions]
        if topic == EXAMPLES:
            names += [_origin_name(partition) for partition in partitions]
        found = self._lake.positions(TABLE_OF[topic], names)
        self._at |= found
        return found

    def _read(self, topic: str, partition: int, offset: int, at_most: int) -> list[StoredRecord]:
        records: list[StoredRecord] = []
        while len(records) < at_most and (more := self._log.read(topic, partition, offset, min(_READ_ROWS, at_most - len(records)))):
            records += more
            offset = more[-1].offset + 1
        return records

    def _examples(self, partition: int, records: list[StoredRecord], positions: dict[str, int], moves: dict[str, tuple[int, int]]) -> pl.DataFrame:
        """The rows of those that no earlier record says already."""
        name = _origin_name(partition)
        origins = Origins({partition: _unpacked(positions[name])} if positions[name] else None)
        new = [record for record in _decoded(records) if origins.is_new(record)]
        if new:
            moves[name] = (positions[name], _packed(origins.seen[partition]))
        return example_rows([record for record in new if record.kind != PROGRESS])


def _decoded(records: Iterable[StoredRecord]) -> Iterator[Example]:
    for stored in records:
        try:
            yield decode_example(stored.value)
        except msgspec.DecodeError as problem:  # must not stop the others
            logger.error("the example at offset %d can't be read and is not copied: %s", stored.offset, problem)

"""The attributor: follows the event log through attribution and appends the examples, each exactly once, however often it dies."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice

import msgspec

from reelrank.domain.event import decode_accepted
from reelrank.domain.example import PROGRESS, Example, Origins, decode_example
from reelrank.domain.video import Video
from reelrank.features.attribution import Attribution, AttributionConfig, AttributionCounts
from reelrank.features.columns import VideoColumns
from reelrank.storage.event_log import EVENTS, EXAMPLES, EventLog, Record, StorageError, StoredRecord

logger = logging.getLogger(__name__)

GROUP = "attribution"
_MAX_UNKNOWN = 100_000
_WAIT_S = 0.5  # for news, at most: a member has to show that it lives


class _Partition:
    """One partition's attribution, where it stands, and what is made but not yet appended."""

    def __init__(self, attribution: Attribution, offset: int, last: tuple[int, int]) -> None:
        self.attribution = attribution
        self.offset = offset
        self.last = last  # the origin that was appended last; what is made up to it is not appended again
        self.again = last != (-1, -1)  # up to `last`, others have done this before
        self.waiting: list[Record] = []


class Attributor:
    """Attribution of those partitions that this member of the group holds."""

    def __init__(self, log: EventLog, columns: VideoColumns, config: AttributionConfig | None = None) -> None:
        self._log = log
        self._video_of = VideoFinder(columns)
        self._config = config or AttributionConfig()
        self._partitions: dict[int, _Partition] = {}

    def step(self, partition: int) -> int:
        """Takes the next records of a partition; returns how many, 0 at the end of the log.

        Raises StorageError if the log or the catalogue is away; a later call goes on where this one ended.
        """
        held = self._partitions.get(partition) or self._open(partition)
        self._append(held)  # what could not be appended the last time
        records = self._log.read(EVENTS, partition, held.offset, self._config.batch)
        for record in records:
            try:
                self._fold(held, record)
            except BaseException:  # half of it is folded; begins again from what it has written
                del self._partitions[partition]
                raise
            if len(held.waiting) >= self._config.batch:
                self._append(held)
        self._append(held)
        return len(records)

    def follow(self, stopping: Callable[[], bool]) -> None:
        """Takes what comes until `stopping` says so. While the log is away it tries again."""
        member = self._log.join(GROUP)
        try:
            while not stopping():
                try:
                    mine = member.partitions()
                    self.keep(mine)
                    if not mine:
                        time.sleep(_WAIT_S)
                    elif sum(self.step(partition) for partition in sorted(mine)) == 0:
                        self._log.wait(EVENTS, {partition: self._partitions[partition].offset for partition in mine}, _WAIT_S)
                except StorageError as problem:
                    logger.warning("attribution waits: %s", problem)
                    time.sleep(_WAIT_S)
        finally:
            member.close()

    def catch_up(self) -> int:
        """Takes every partition to the end of the log as it is now; returns how many records that took."""
        taken = 0
        for partition in range(self._log.partitions):
            while count := self.step(partition):
                taken += count
        return taken

    def keep(self, partitions: frozenset[int]) -> None:
        """Forgets the state of partitions that are no longer this member's: when they come back, others will have gone on."""
        for partition in self._partitions.keys() - partitions:
            del self._partitions[partition]

    def counts(self) -> dict[str, int]:
        """What was seen since the process began, over the partitions that it holds."""
        total = dict.fromkeys(asdict(AttributionCounts()), 0)
        for held in list(self._partitions.values()):  # may be asked from another thread
            for name, count in asdict(held.attribution.counts).items():
                total[name] += count
        return total

    def _open(self, partition: int) -> _Partition:
        """Begins where it takes to come to the state that made the last example; the steps until there append nothing."""
        tail = last_example(self._log, partition)
        attribution = Attribution(partition, self._config, self._video_of, tail)
        held = _Partition(attribution, 0, (-1, -1)) if tail is None else _Partition(attribution, tail.replay_from, tail.origin)
        self._partitions[partition] = held
        return held

    def _fold(self, held: _Partition, record: StoredRecord) -> None:
        held.offset = record.offset + 1
        if held.again and record.offset > held.last[0]:
            held.again, held.attribution.counts = False, AttributionCounts()
        try:
            accepted = decode_accepted(record.value)
        except msgspec.DecodeError as problem:
            logger.error("the event at offset %d can't be read and is part of no example: %s", record.offset, problem)
            return
        attribution = held.attribution
        attribution.fold(record.offset, accepted)
        if not attribution.made:
            return
        new = (value for part, value in enumerate(attribution.made) if (record.offset, part) > held.last)
        held.waiting += [Record("", value, attribution.partition) for value in new]
        attribution.made.clear()

    def _append(self, held: _Partition) -> None:
        waiting = iter(held.waiting)
        done = 0
        try:
            while chunk := list(islice(waiting, self._config.batch)):
                self._log.append(EXAMPLES, chunk)
                done += len(chunk)
        finally:
            del held.waiting[:done]


class VideoFinder:
    """Finds videos of the catalogue, also those that were published a moment ago. Does not look twice for what is not there."""

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns
        self._unknown: set[str] = set()

    def __call__(self, video_id: str) -> Video | None:
        row = self._columns.row_of(video_id)
        if row is None and video_id not in self._unknown:
            self._columns.refresh()
            row = self._columns.row_of(video_id)
            if row is None:
                if len(self._unknown) >= _MAX_UNKNOWN:
                    self._unknown.clear()
                self._unknown.add(video_id)
        return None if row is None else self._columns.videos[row]


def last_example(log: EventLog, partition: int) -> Example | None:
    """The last record of a partition of EXAMPLES that can be read."""
    end = log.end(EXAMPLES, partition)
    while end > 0:
        end -= 1
        for record in log.read(EXAMPLES, partition, end, 1):
            try:
                return decode_example(record.value)
            except msgspec.DecodeError as problem:  # what somebody else has written there must not stop us
                logger.error("the example at offset %d can't be read: %s", record.offset, problem)
    return None


def read_examples(log: EventLog, partition: int, offset: int, at_most: int, origins: Origins) -> tuple[list[Example], int]:
    """The next examples of a partition, each once, and the offset to go on from. Keep `origins` from call to call, and with the offset."""
    records = log.read(EXAMPLES, partition, offset, at_most)
    found: list[Example] = []
    for stored in records:
        try:
            record = decode_example(stored.value)
        except msgspec.DecodeError as problem:  # must not stop the others
            logger.error("the example at offset %d can't be read: %s", stored.offset, problem)
            continue
        if origins.is_new(record) and record.kind != PROGRESS:
            found.append(record)
    return found, records[-1].offset + 1 if records else offset


def all_examples(log: EventLog, partition: int, at_a_time: int = 5_000) -> Iterator[Example]:
    """Every example of a partition so far, each once."""
    origins, offset = Origins(), 0
    while True:
        found, after = read_examples(log, partition, offset, at_a_time, origins)
        yield from found
        if after == offset:
            return
        offset = after

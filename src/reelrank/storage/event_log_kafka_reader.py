"""Reads partitions of a Kafka topic one after the other, and has fetched what is asked for next before it is asked."""

import threading
import time
from bisect import bisect_left
from collections.abc import Mapping
from itertools import count

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from reelrank.storage.event_log import StorageError, StoredRecord
from reelrank.storage.event_log_kafka_client import log
from reelrank.storage.event_log_kafka_config import KafkaConfig

_AT_ONCE = 5_000  # records taken over from the client at once
_QUIET_S = 1.0  # without news; then the end is looked at
_SLICE_S = 0.02  # how long one thread waits for the client before another one may change what is fetched


class _Ahead:
    """What has been fetched of a partition: every record at or after `start` and before `end`."""

    __slots__ = ("asked", "bytes", "end", "heard_at", "records", "start")

    def __init__(self, start: int, asked: int) -> None:
        self.start = self.end = start
        self.records: list[StoredRecord] = []
        self.bytes = 0
        self.asked = asked
        self.heard_at = time.monotonic()  # when it was last known that nothing is kept from us


class KafkaReader:
    """A consumer without a group. Threads may ask for different partitions at once; one of them at a time talks to the client for all."""

    def __init__(self, servers: str, config: KafkaConfig, name: str) -> None:
        self._name = name
        self._room = 2 * config.read_ahead_mib << 20
        settings = config.connection(servers) | {
            "group.id": f"{config.topic_prefix}readers",  # asked for by the client; nobody joins it
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "queued.max.messages.kbytes": config.read_ahead_mib * 1024,
            "queued.min.messages": 50_000,
            "fetch.max.bytes": max(config.read_ahead_mib << 20, config.max_record_bytes),
            "message.max.bytes": config.max_record_bytes,
            "fetch.queue.backoff.ms": 5,
            # A broker answers one fetch after the other, so nothing new can be asked for as long as one waits for news.
            "fetch.wait.max.ms": 100,
            "fetch.error.backoff.ms": 100,
        }
        try:
            self._consumer = Consumer(settings, logger=log)
        except KafkaException as problem:
            raise StorageError(f"can't read from Kafka at {servers}: {problem}; see [storage.kafka] in the configuration") from problem
        self._ahead: dict[int, _Ahead] = {}
        self._state = threading.Condition()
        self._talking = False  # a thread is with the client
        self._moving = 0  # threads that want to change what is fetched; they go first
        self._clock = count(1)
        self._closed = False

    def stands_at(self, partition: int, offset: int) -> bool:
        """Whether a record at `offset` can be had without starting anew."""
        ahead = self._ahead.get(partition)
        return ahead is not None and ahead.start <= offset <= ahead.end

    def stands_at_how_many(self, offsets: Mapping[int, int]) -> int:
        return sum(self.stands_at(partition, offset) for partition, offset in offsets.items())

    def reads_any(self, offsets: Mapping[int, int]) -> bool:
        return not self._ahead.keys().isdisjoint(offsets)

    def last_asked(self, offsets: Mapping[int, int]) -> int:
        return max((ahead.asked for partition in offsets if (ahead := self._ahead.get(partition))), default=0)

    def stand_at(self, offsets: Mapping[int, int]) -> None:
        """Starts to fetch from these offsets on; they must be in the log, or be its end."""
        with self._state:
            self._moving += 1
            try:
                while self._talking:
                    self._state.wait()
                self._drop([partition for partition in offsets if partition in self._ahead])
                self._consumer.incremental_assign([TopicPartition(self._name, partition, offset) for partition, offset in offsets.items()])
                self._ahead |= {partition: _Ahead(offset, next(self._clock)) for partition, offset in offsets.items()}
            except (KafkaException, RuntimeError) as problem:
                raise StorageError(f"{self._name} can't be read: {problem}") from problem
            finally:
                self._moving -= 1
                self._state.notify_all()

    def at_hand(self, partition: int, offset: int, at_most: int) -> list[StoredRecord]:
        """What has already been fetched."""
        if found := self._taken(partition, offset, at_most):
            return found
        if self.stands_at(partition, offset):
            self._talk(0)
        return self._taken(partition, offset, at_most)

    def fetched(self, partition: int, offset: int, at_most: int, deadline: float) -> list[StoredRecord]:
        """What can be had until the deadline; comes back as soon as there is something."""
        while not (found := self._taken(partition, offset, at_most)) and (left_s := deadline - time.monotonic()) > 0:
            if not self.stands_at(partition, offset):  # taken from us by a thread that reads elsewhere, or by an error
                self.stand_at({partition: offset})
            self._talk(min(left_s, _SLICE_S))
        return found

    def ready(self, offsets: Mapping[int, int]) -> frozenset[int]:
        """The partitions of which records at or after their offset have been fetched."""
        with self._state:
            found = [(partition, self._ahead.get(partition), offset) for partition, offset in offsets.items()]
            return frozenset(partition for partition, ahead, offset in found if ahead and ahead.start <= offset < ahead.end)

    def news(self, offsets: Mapping[int, int], deadline: float) -> frozenset[int]:
        """As `ready`, but waits until the deadline for the first, and takes what has arrived even when that is now."""
        with self._state:
            for partition in offsets:
                if partition in self._ahead:
                    self._ahead[partition].asked = next(self._clock)
        while not (found := self.ready(offsets)):
            left_s = deadline - time.monotonic()
            self._talk(min(max(left_s, 0.0), _SLICE_S))
            if left_s <= 0:
                return self.ready(offsets)
        return found

    def quiet(self, offsets: Mapping[int, int]) -> list[int]:
        """The partitions that nothing has come of for so long that the end should be looked at; each is told once in that time.

        A client that has lost its broker does not always begin to fetch again when it is back.
        """
        now = time.monotonic()
        with self._state:
            found = [partition for partition in offsets if (ahead := self._ahead.get(partition)) and now - ahead.heard_at > _QUIET_S]
            for partition in found:
                self._ahead[partition].heard_at = now
        return found

    def close(self) -> None:
        with self._state:
            self._closed = True
            while self._talking:
                self._state.wait()
            self._ahead.clear()
            self._consumer.close()

    def _taken(self, partition: int, offset: int, at_most: int) -> list[StoredRecord]:
        """Records from `offset` on. They are kept until a later offset is asked for: who failed with them asks again."""
        with self._state:
            ahead = self._ahead.get(partition)
            if ahead is None or not ahead.start <= offset <= ahead.end:
                return []
            ahead.asked = next(self._clock)
            if passed := bisect_left(ahead.records, (offset,)):
                ahead.bytes -= sum(len(record.value) for record in ahead.records[:passed])
                del ahead.records[:passed]
            ahead.start = offset
            return ahead.records[:at_most]

    def _talk(self, timeout_s: float) -> None:
        """Takes over what the client has fetched, or waits for it; or until another thread has done so."""
        with self._state:
            if self._closed:
                raise StorageError(f"{self._name} can't be read: the event log is closed")
            if self._talking or self._moving:
                if timeout_s:
                    self._state.wait(timeout_s)
                return
            self._talking = True
        messages = []
        try:
            messages = self._consumer.consume(1, timeout_s)
            if messages:
                messages += self._consumer.consume(_AT_ONCE - 1, 0)
        except (KafkaException, RuntimeError) as problem:
            raise StorageError(f"{self._name} can't be read: {problem}") from problem
        finally:
            with self._state:
                self._talking = False
                for message in messages:
                    error, partition = message.error(), message.partition()
                    if error is not None:
                        self._failed(error, partition)
                    elif (ahead := self._ahead.get(partition)) is not None:  # pyright: ignore[reportArgumentType]
                        offset, value = message.offset(), message.value() or b""
                        ahead.records.append(StoredRecord(offset, value))  # pyright: ignore[reportArgumentType]
                        ahead.end = offset + 1  # pyright: ignore[reportOptionalOperand]
                        ahead.heard_at = time.monotonic()
                        ahead.bytes += len(value)
                self._make_room()
                self._state.notify_all()

    def _failed(self, error: KafkaError, partition: int | None) -> None:
        log.warning("%s, partition %s: %s", self._name, partition, error.str())
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE) and partition in self._ahead:  # pyright: ignore[reportPrivateUsage]
            self._drop([partition])  # who asks next finds out what the log still has

    def _make_room(self) -> None:
        """Forgets what has been fetched of partitions that nobody has asked for in a while."""
        while len(self._ahead) > 1 and sum(ahead.bytes for ahead in self._ahead.values()) > self._room:
            self._drop([min(self._ahead, key=lambda partition: self._ahead[partition].asked)])

    def _drop(self, partitions: list[int]) -> None:
        if partitions:
            self._consumer.incremental_unassign([TopicPartition(self._name, partition) for partition in partitions])
            for partition in partitions:
                del self._ahead[partition]

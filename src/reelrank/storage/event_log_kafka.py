"""The event log in an Apache Kafka cluster: one topic per topic, one writer per process, readers that fetch ahead."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType  # pyright: ignore[reportPrivateImportUsage]

from reelrank.storage.event_log import EVENTS, TOPICS, Record, StorageError, StoredRecord
from reelrank.storage.event_log_kafka_client import log
from reelrank.storage.event_log_kafka_config import KafkaConfig
from reelrank.storage.event_log_kafka_group import KafkaMembership
from reelrank.storage.event_log_kafka_reader import KafkaReader
from reelrank.storage.event_log_kafka_writer import KafkaWriter

_EARLIEST: Any = OffsetSpec.earliest()
_LATEST: Any = OffsetSpec.latest()
_AGAIN_S = 0.05  # between two attempts within a request's timeout
_ATTEMPT_S = 1.0  # for one of them
_LOOK_S = 0.3  # for a look whether a partition that is quiet has something after all
_ANSWER_S = 0.5  # for a look whether the cluster answers at all
_READERS = 4  # positions of a partition that are fetched ahead of at the same time


class KafkaEventLog:
    """An EventLog in the cluster that `servers` ("host:port,host:port") belong to.

    Opening makes the topics that are missing. Whatever needs the cluster raises StorageError within the timeouts of
    `config` while it is away, and works again when it is back.
    """

    def __init__(self, servers: str, partitions: int = 4, config: KafkaConfig | None = None, topics: Sequence[str] = TOPICS) -> None:
        self.partitions = partitions
        self._servers = servers
        self._config = config or KafkaConfig()
        self._names = {topic: self._config.topic_prefix + topic for topic in topics}
        self._readers: dict[str, list[KafkaReader]] = {topic: [] for topic in topics}
        self._clients_lock = threading.Lock()
        self._memberships: list[KafkaMembership] = []
        self._admin_since = time.monotonic()
        try:
            self._admin = self._new_admin()
        except (KafkaException, ValueError) as problem:
            raise StorageError(f"can't use Kafka at {servers}: {problem}; see [storage.kafka] in the configuration") from problem
        self._make_topics()
        self._writer = KafkaWriter(servers, partitions, self._config, self._names, self.read, self._has_leaders)

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        self._name(topic)
        return self._writer.append(topic, records)

    def read(self, topic: str, partition: int, offset: int, at_most: int) -> list[StoredRecord]:
        self._name(topic)
        if at_most <= 0:
            return []
        reader = self._reader(topic, {partition: offset})
        if found := reader.at_hand(partition, offset, at_most):
            return found
        end = self.end(topic, partition)
        if offset >= end:
            return []
        if not reader.stands_at(partition, offset):
            first = self._offsets(topic, [partition], _EARLIEST)[partition]
            if offset < first:
                raise StorageError(
                    f"partition {partition} of {self._name(topic)} begins at {first}, {offset} is not kept any more; "
                    f"keep_{topic}_days in [storage.kafka] says for how long a record stays"
                )
            reader.stand_at({partition: offset})
        found = reader.fetched(partition, offset, at_most, time.monotonic() + self._config.request_timeout_s)
        if not found:
            self._discard(topic, reader)  # who asks again shall not wait for the same answer
            raise StorageError(f"{self._away()}: records of {self._name(topic)} from {offset} to {end} of partition {partition} did not come")
        return found

    def wait(self, topic: str, offsets: Mapping[int, int], timeout_s: float) -> frozenset[int]:
        deadline = time.monotonic() + timeout_s
        reader = self._reader(topic, offsets)
        if ready := reader.ready(offsets):
            return ready
        astray = [partition for partition, offset in offsets.items() if not reader.stands_at(partition, offset)]
        if astray:
            ends = self._offsets(topic, astray, _LATEST)
            if ready := frozenset(partition for partition in astray if ends[partition] > offsets[partition]):
                return ready
            reader.stand_at(ends)  # not after the end: nothing could be fetched from there
        if found := reader.news(offsets, deadline):
            return found
        quiet = reader.quiet(offsets)
        try:
            ends = self._offsets(topic, quiet, _LATEST, _LOOK_S) if quiet else {}
        except StorageError:  # then there is no news either
            return frozenset()
        kept = {partition: offsets[partition] for partition in quiet if ends[partition] > offsets[partition]}
        if kept:
            reader.stand_at(kept)
        return frozenset(kept)

    def end(self, topic: str, partition: int) -> int:
        return self._offsets(topic, [partition], _LATEST)[partition]

    def begin(self, topic: str, partition: int) -> int:
        return self._offsets(topic, [partition], _EARLIEST)[partition]

    def forget(self, topic: str, partition: int, before: int) -> None:
        name = self._name(topic)
        before = min(before, self.end(topic, partition) - 1)
        if before <= self.begin(topic, partition):
            return
        place = TopicPartition(name, partition, before)
        try:
            self._admin.delete_records([place], request_timeout=self._config.request_timeout_s)[place].result()
        except KafkaException as problem:
            raise StorageError(f"records of {name} before {before} can't be let go of: {problem.args[0].str()}") from problem

    def join(self, group: str, topic: str = EVENTS) -> KafkaMembership:
        name = self._name(topic)
        membership = KafkaMembership(self._servers, self._config, f"{self._config.topic_prefix}{group}.{topic}", name)
        with self._clients_lock:
            self._memberships = [member for member in self._memberships if not member.closed]
            self._memberships.append(membership)
        return membership

    def close(self) -> None:
        self._writer.close()
        with self._clients_lock:
            for membership in self._memberships:
                membership.close()
            for reader in (reader for readers in self._readers.values() for reader in readers):
                reader.close()
            self._readers = {topic: [] for topic in self._readers}

    def _name(self, topic: str) -> str:
        if topic not in self._names:
            raise StorageError(f"no topic {topic!r} in the event log at {self._servers}; known: {', '.join(self._names)}")
        return self._names[topic]

    def _away(self) -> str:
        return f"Kafka at {self._servers} did not answer within {self._config.request_timeout_s:g} s"

    def _reader(self, topic: str, offsets: Mapping[int, int]) -> KafkaReader:
        """The reader that stands where is asked for; else one that is free, a new one, or the one that was longest not asked."""
        self._name(topic)
        with self._clients_lock:
            readers = self._readers[topic]
            best = max(readers, key=lambda reader: reader.stands_at_how_many(offsets), default=None)
            if best is not None and best.stands_at_how_many(offsets):
                return best
            for reader in readers:
                if not reader.reads_any(offsets):
                    return reader
            if len(readers) < _READERS:
                readers.append(KafkaReader(self._servers, self._config, self._names[topic]))
                return readers[-1]
            return min(readers, key=lambda reader: reader.last_asked(offsets))

    def _discard(self, topic: str, reader: KafkaReader) -> None:
        """Lets go of a reader that gets nothing although there is something: it may have lost the leader of a partition for good."""
        with self._clients_lock:
            self._readers[topic] = [other for other in self._readers[topic] if other is not reader]
        reader.close()

    def _offsets(self, topic: str, partitions: Iterable[int], which: Any, within_s: float | None = None) -> dict[int, int]:
        """The first or the next offset of each partition, in one request."""
        name = self._name(topic)
        asked = {TopicPartition(name, partition): which for partition in partitions}
        deadline = time.monotonic() + (within_s or self._config.request_timeout_s)
        while True:
            left_s = min(_ATTEMPT_S, max(0.1, deadline - time.monotonic()))
            try:
                answers = self._admin.list_offsets(asked, request_timeout=left_s)
                return {place.partition: future.result(left_s + (1 if within_s is None else 0)).offset for place, future in answers.items()}
            except (KafkaException, TimeoutError) as problem:  # mostly a leader that has just changed, or is about to come back
                self._renew_admin()
                if time.monotonic() + _AGAIN_S > deadline:
                    raise StorageError(f"{self._away()} where {name} ends: {problem}") from problem
                time.sleep(_AGAIN_S)

    def _has_leaders(self) -> bool:
        """Whether the cluster answers and could take records of every topic."""
        try:
            there = self._partitions_by_topic(_ANSWER_S)
        except StorageError:
            self._renew_admin()
            return False
        return all(there.get(name, 0) for name in self._names.values())

    def _renew_admin(self) -> None:
        """A client that only asks for offsets goes on with what it knew of leaders before a broker was started again, at times for good."""
        with self._clients_lock:
            if time.monotonic() - self._admin_since > _ANSWER_S:
                self._admin, self._admin_since = self._new_admin(), time.monotonic()

    def _new_admin(self) -> Any:
        return AdminClient(self._config.connection(self._servers), logger=log)

    def _make_topics(self) -> None:
        deadline = time.monotonic() + self._config.request_timeout_s
        there = self._partitions_by_topic()
        self._check_record_bytes([name for name in self._names.values() if name in there])
        if missing := [topic for topic, name in self._names.items() if name not in there]:
            new = [NewTopic(self._names[topic], self.partitions, self._config.replication, config=self._config.topic_settings(topic)) for topic in missing]
            for name, future in self._admin.create_topics(new, request_timeout=self._config.request_timeout_s).items():
                try:
                    future.result()
                except KafkaException as problem:
                    if problem.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another process was faster
                        raise StorageError(f"the topic {name} can't be made at {self._servers}: {problem.args[0].str()}") from problem
        while any(there.get(name, 0) == 0 for name in self._names.values()):  # a new topic takes a moment to be known everywhere
            if time.monotonic() > deadline + self._config.request_timeout_s:
                raise StorageError(f"{self._away()}: the topics {', '.join(self._names.values())} have no leaders yet")
            time.sleep(0.02)
            there = self._partitions_by_topic()
        for name in self._names.values():
            if there[name] != self.partitions:
                raise StorageError(
                    f"the topic {name} at {self._servers} has {there[name]} partitions, not {self.partitions}; "
                    f"set storage.partitions = {there[name]}, or start a new log with another topic_prefix in [storage.kafka]"
                )

    def _partitions_by_topic(self, within_s: float | None = None) -> dict[str, int]:
        """How many partitions each topic has; 0 while one of them has no leader."""
        try:
            found: Any = self._admin.list_topics(timeout=within_s or self._config.request_timeout_s).topics
        except KafkaException as problem:
            raise StorageError(f"{self._away()}: {problem.args[0].str()}; is it running?") from problem
        parts = {name: topic.partitions for name, topic in found.items() if topic.error is None}
        return {name: len(those) if all(part.leader >= 0 for part in those.values()) else 0 for name, those in parts.items()}

    def _check_record_bytes(self, names: list[str]) -> None:
        """A topic that takes less than is sent would refuse batches for good; who may not look must know it themselves."""
        if not names:
            return
        asked = self._admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in names], request_timeout=self._config.request_timeout_s)
        for resource, future in asked.items():
            try:
                allowed = int(future.result()["max.message.bytes"].value)
            except KafkaException as problem:
                log.info("the settings of %s can't be read: %s", resource.name, problem.args[0].str())
                continue
            if allowed < self._config.max_record_bytes:
                raise StorageError(
                    f"the topic {resource.name} at {self._servers} takes {allowed} bytes at most, not {self._config.max_record_bytes}; "
                    f"set its max.message.bytes, or max_record_bytes in [storage.kafka]"
                )

"""Readers share the partitions of a topic through a Kafka consumer group; what they have read they keep account of themselves."""

import threading
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from reelrank.storage.event_log import StorageError
from reelrank.storage.event_log_kafka_client import log
from reelrank.storage.event_log_kafka_config import KafkaConfig

_OPS = 10  # of a rebalance that one question lets pass, at most


class KafkaMembership:
    """A consumer that fetches nothing and commits nothing: it only takes part in the division.

    Rebalancing is cooperative: a partition that moves is given to its next member after `partitions` was called here
    and has answered without it.
    """

    def __init__(self, servers: str, config: KafkaConfig, group: str, name: str) -> None:
        self._name = name
        self._mine: set[int] = set()
        self._until_divided: set[int] = set()  # lost, and perhaps nobody else's
        self._lock = threading.Lock()
        self.closed = False
        settings: dict[str, Any] = config.connection(servers) | {
            "group.id": group,
            "group.protocol": config.group_protocol,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "max.poll.interval.ms": int(max(config.stuck_after_s, config.session_timeout_s) * 1000),
        }
        if config.group_protocol == "classic":  # with the other one these are the broker's to decide
            session_ms = int(config.session_timeout_s * 1000)
            settings |= {
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": session_ms,
                "heartbeat.interval.ms": min(500, session_ms // 6),
            }
        try:
            self._consumer = Consumer(settings, logger=log)
            self._consumer.subscribe([name], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        except KafkaException as problem:
            raise StorageError(f"can't join {group} of Kafka at {servers}: {problem}; see [storage.kafka] in the configuration") from problem

    def partitions(self) -> frozenset[int]:
        with self._lock:
            if not self.closed:
                try:
                    for _ in range(_OPS):
                        before = set(self._mine)
                        self._consumer.poll(0)  # calls what is below, if there is something to say
                        if before == self._mine:
                            break
                except KafkaException as problem:
                    log.warning("%s: %s", self._name, problem)
            return frozenset(self._mine | self._until_divided)

    def close(self) -> None:
        with self._lock:
            if not self.closed:
                self.closed = True
                self._mine.clear()
                self._until_divided.clear()
                self._consumer.close()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [TopicPartition(self._name, place.partition, OFFSET_BEGINNING) for place in partitions]
        consumer.incremental_assign(places)
        if places:
            consumer.pause(places)
        self._mine |= {place.partition for place in partitions}
        self._until_divided.clear()

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_unassign(partitions)
        self._mine -= {place.partition for place in partitions}

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.warning("lost partitions %s of %s: this member was not heard of", sorted(place.partition for place in partitions), self._name)
        # When it was the cluster that was away nobody else has them, and dividing anew takes seconds: until that is done
        # this member goes on. If somebody else does have them, what both write bears it.
        self._until_divided |= self._mine
        self._revoked(consumer, partitions)

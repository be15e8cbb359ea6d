"""What only Kafka can do to an event log: go away, come back, forget, and be set up otherwise."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # pyright: ignore[reportPrivateImportUsage]

from reelrank.benchmarks.local_kafka import LocalKafka
from reelrank.storage import event_log_kafka_writer
from reelrank.storage.event_log import EVENTS, SIGNALS, Record, StorageError
from reelrank.storage.event_log_kafka import KafkaEventLog
from reelrank.storage.event_log_kafka_config import KafkaConfig

RECOVERED_WITHIN_S = 10.0  # after the broker answers; mostly it is a few hundred milliseconds


@contextmanager
def opened(broker: LocalKafka, partitions: int = 2, **settings: object) -> Iterator[KafkaEventLog]:
    log = KafkaEventLog(broker.servers, partitions, config(**settings))
    try:
        yield log
    finally:
        log.close()


def config(**settings: object) -> KafkaConfig:
    chosen = {"topic_prefix": f"{time.time_ns()}.", "delivery_timeout_s": 2.0, "request_timeout_s": 3.0, **settings}
    return KafkaConfig(**chosen)


def everything(log: KafkaEventLog, topic: str = EVENTS) -> list[tuple[int, int, bytes]]:
    found: list[tuple[int, int, bytes]] = []
    for partition in range(log.partitions):
        offset = 0
        while records := log.read(topic, partition, offset, 1_000):
            found += [(partition, record.offset, record.value) for record in records]
            offset = records[-1].offset + 1
    return found


def test_what_was_acknowledged_survives_a_broker_killed_under_load(own_kafka: LocalKafka) -> None:
    acknowledged: list[tuple[int, int, bytes]] = []
    refused: list[StorageError] = []
    stopped = threading.Event()

    with opened(own_kafka) as log:

        def write(name: int) -> None:
            number = 0
            while not stopped.is_set():
                records = [Record(str(number + place), f"{name} {number + place}".encode()) for place in range(50)]
                try:
                    places = log.append(EVENTS, records)
                    acknowledged.extend((*place, record.value) for place, record in zip(places, records, strict=True))
                except StorageError as problem:
                    refused.append(problem)
                number += 50

        threads = [threading.Thread(target=write, args=(name,), daemon=True) for name in range(3)]
        for thread in threads:
            thread.start()
        for away_s in (0.2, 3.0):  # shorter than an append waits, and longer
            time.sleep(1)
            own_kafka.kill()
            time.sleep(away_s)
            own_kafka.start()
            back_at, before = time.monotonic(), len(acknowledged)
            while len(acknowledged) == before:
                assert time.monotonic() - back_at < RECOVERED_WITHIN_S
                time.sleep(0.01)
        stopped.set()
        for thread in threads:
            thread.join(30)
        stored = everything(log)
    assert refused
    assert set(acknowledged) <= set(stored)
    values = [value for *_, value in stored]
    assert len(values) == len(set(values))  # nobody sent anything again, and the producer's own repeats are known to the broker


def test_without_a_broker_everything_fails_in_time_and_recovers_by_itself(own_kafka: LocalKafka) -> None:
    with opened(own_kafka) as log:
        log.append(EVENTS, [Record("a", b"before", 0)])
        assert log.read(EVENTS, 0, 0, 10)
        own_kafka.kill()
        settings = config()
        for what in (
            lambda: log.append(EVENTS, [Record("a", b"lost", 0)]),
            lambda: log.read(EVENTS, 0, 1, 10),
            lambda: log.end(EVENTS, 0),
            lambda: KafkaEventLog(own_kafka.servers, 2, settings),
        ):
            began = time.monotonic()
            with pytest.raises(StorageError, match=rf"at {own_kafka.servers} .*is Kafka running|did not answer within 3 s"):
                what()
            assert time.monotonic() - began < 10
        assert log.wait(EVENTS, {0: 1}, 0.1) == frozenset()
        own_kafka.start()
        back_at = time.monotonic()
        while True:
            try:
                (place,) = log.append(EVENTS, [Record("a", b"after", 0)])
                break
            except StorageError:
                assert time.monotonic() - back_at < RECOVERED_WITHIN_S
        assert log.read(EVENTS, 0, place[1], 1)[0].value == b"after"
        assert log.end(EVENTS, 0) == place[1] + 1


def test_what_waits_for_an_absent_broker_is_bounded(own_kafka: LocalKafka) -> None:
    with opened(own_kafka, queue_mib=1, delivery_timeout_s=1.0) as log:
        own_kafka.kill()
        waiting = [threading.Thread(target=_refused, args=(log,), daemon=True) for _ in range(5)]
        for thread in waiting:
            thread.start()
        time.sleep(0.2)
        began = time.monotonic()
        with pytest.raises(StorageError, match="1 MiB wait already; try again later"):
            log.append(EVENTS, [Record("a", bytes(300_000))])
        assert time.monotonic() - began < 0.5
        for thread in waiting:
            thread.join(10)


def _refused(log: KafkaEventLog) -> None:
    with pytest.raises(StorageError):
        log.append(EVENTS, [Record("a", bytes(300_000))])


def test_a_record_that_is_not_kept_any_more_is_an_error_that_says_so(kafka: LocalKafka) -> None:
    settings = config()
    log = KafkaEventLog(kafka.servers, 1, settings)
    log.append(EVENTS, [Record("a", str(number).encode()) for number in range(20)])
    assert len(log.read(EVENTS, 0, 0, 5)) == 5
    name = settings.topic_prefix + EVENTS
    admin = AdminClient({"bootstrap.servers": kafka.servers})
    for future in admin.delete_records([TopicPartition(name, 0, 15)]).values():
        future.result(30)
    other = KafkaEventLog(kafka.servers, 1, settings)
    with pytest.raises(StorageError, match=f"{name} begins at 15, 3 is not kept any more; keep_events_days"):
        other.read(EVENTS, 0, 3, 5)
    assert [record.offset for record in other.read(EVENTS, 0, 15, 100)] == [15, 16, 17, 18, 19]
    log.close()
    other.close()


def test_topics_are_made_as_configured(kafka: LocalKafka) -> None:
    settings = config(keep_events_days=2.0, max_record_bytes=123_456)
    KafkaEventLog(kafka.servers, 3, settings).close()
    admin = AdminClient({"bootstrap.servers": kafka.servers})
    wanted = {EVENTS: str(2 * 24 * 3600 * 1000), SIGNALS: "-1"}
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, settings.topic_prefix + topic) for topic in wanted])
    for topic, future in zip(wanted, asked.values(), strict=True):
        found = future.result(30)
        assert found["retention.ms"].value == wanted[topic]
        assert found["max.message.bytes"].value == "123456"
    assert len(admin.list_topics(timeout=10).topics[settings.topic_prefix + EVENTS].partitions) == 3


def test_a_topic_that_takes_less_than_is_sent_is_refused(kafka: LocalKafka) -> None:
    settings = config()
    new = NewTopic(settings.topic_prefix + EVENTS, 2, -1, config={"max.message.bytes": "2000"})
    admin = AdminClient({"bootstrap.servers": kafka.servers})
    for future in admin.create_topics([new]).values():
        future.result(30)
    with pytest.raises(StorageError, match=r"takes 2000 bytes at most, not 4194304; set its max.message.bytes, or max_record_bytes"):
        KafkaEventLog(kafka.servers, 2, settings)


def test_a_record_that_is_too_large_is_refused(kafka: LocalKafka) -> None:
    with opened(kafka, max_record_bytes=100_000) as log, pytest.raises(StorageError, match=r"[Mm]essage size too large"):
        log.append(EVENTS, [Record("a", bytes(200_000))])


def test_an_unknown_topic_is_named(kafka: LocalKafka) -> None:
    with opened(kafka) as log, pytest.raises(StorageError, match=r"no topic 'plays' in the event log at .*; known: events, dead_letters, signals, examples"):
        log.append("plays", [Record("a", b"")])


def test_records_carry_their_key_and_the_version_of_their_schema(kafka: LocalKafka) -> None:
    settings = config()
    log = KafkaEventLog(kafka.servers, 1, settings)
    log.append(EVENTS, [Record("ana", b"value")] * 3)
    consumer = Consumer({"bootstrap.servers": kafka.servers, "group.id": "other"})
    consumer.assign([TopicPartition(settings.topic_prefix + EVENTS, 0, 0)])
    messages = consumer.consume(3, 30)
    assert [(message.key(), message.value(), message.headers()) for message in messages] == [(b"ana", b"value", [("schema", b"1")])] * 3
    consumer.close()
    log.close()


def test_long_runs_of_several_writers_know_where_each_record_is(kafka: LocalKafka) -> None:
    settings = config(delivery_timeout_s=20.0)
    logs = [KafkaEventLog(kafka.servers, 1, settings) for _ in range(3)]
    found: dict[int, bytes] = {}

    def write(place: int) -> None:
        for number in range(4):
            records = [Record("a", f"{place} {number} {row}".encode().ljust(1_000)) for row in range(3_000)]  # several batches each
            found.update({offset: record.value for (_, offset), record in zip(logs[place].append(EVENTS, records), records, strict=True)})

    threads = [threading.Thread(target=write, args=(place,), daemon=True) for place in range(len(logs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {offset: value for _, offset, value in everything(logs[0])} == found
    assert len(found) == 36_000
    for log in logs:
        log.close()


def test_a_password_is_never_shown() -> None:
    settings = KafkaConfig(security_protocol="sasl_ssl", sasl_user="reelrank", sasl_password="hush", properties={"ssl.key.password": "hush"})
    assert settings.connection("kafka:9093")["sasl.password"] == "hush"
    assert "hush" not in repr(settings)
    assert "reelrank" in repr(settings)


def test_a_producer_that_lost_its_way_is_replaced_while_the_cluster_answers(kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Producer] = []

    def first_astray(settings: dict[str, object], **options: Any) -> Producer:
        wrong = {} if made else {"bootstrap.servers": "127.0.0.1:9"}  # where nobody listens
        made.append(Producer(settings | wrong, **options))
        return made[-1]

    monkeypatch.setattr(event_log_kafka_writer, "Producer", first_astray)
    with opened(kafka, delivery_timeout_s=0.5) as log:
        with pytest.raises(StorageError, match="timed out"):
            log.append(EVENTS, [Record("a", b"lost", 0)])
        failed_at = time.monotonic()
        while True:
            try:
                assert log.append(EVENTS, [Record("a", b"found", 0)]) == [(0, 0)]
                break
            except StorageError:
                assert time.monotonic() - failed_at < RECOVERED_WITHIN_S
        assert len(made) == 2
        log.append(EVENTS, [Record("a", b"more", 0)])
    assert len(made) == 2


def test_a_broker_that_is_away_does_not_cost_the_producer(own_kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Producer] = []
    monkeypatch.setattr(event_log_kafka_writer, "Producer", lambda settings, **options: made.append(Producer(settings, **options)) or made[-1])
    with opened(own_kafka, delivery_timeout_s=0.5) as log:
        own_kafka.kill()
        until = time.monotonic() + 5
        while time.monotonic() < until:
            with pytest.raises(StorageError):
                log.append(EVENTS, [Record("a", b"lost", 0)])
    assert len(made) == 1


def test_a_producer_that_has_given_up_is_replaced(own_kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Producer] = []
    monkeypatch.setattr(event_log_kafka_writer, "Producer", lambda settings, **options: made.append(Producer(settings, **options)) or made[-1])
    broker = int((own_kafka.folder / "broker.pid").read_text())
    with opened(own_kafka, delivery_timeout_s=10.0) as log:
        log.append(EVENTS, [Record("a", b"before", 0)])
        os.kill(broker, signal.SIGSTOP)
        began = time.monotonic()
        refused = threading.Thread(target=_refused, args=(log,), daemon=True)
        refused.start()
        time.sleep(0.5)
        made[0].purge()  # what is on its way is given up, and with it the promise of no gaps
        refused.join(10)
        assert time.monotonic() - began < 5  # nobody waits for a producer that has given up
        os.kill(broker, signal.SIGCONT)
        back_at = time.monotonic()
        while True:
            try:
                log.append(EVENTS, [Record("a", b"after", 0)])
                break
            except StorageError:
                assert time.monotonic() - back_at < RECOVERED_WITHIN_S
        assert len(made) == 2
        assert next(value for *_, value in everything(log)) == b"before"

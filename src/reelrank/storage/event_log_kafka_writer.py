"""Appends to Kafka: threads that append at once share batches, and one acknowledgement stands for a run of records."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from reelrank.storage.event_log import Record, StorageError, StoredRecord, partition_of
from reelrank.storage.event_log_kafka_client import log
from reelrank.storage.event_log_kafka_config import KafkaConfig

_HEADERS: list[tuple[str, str | bytes | None]] = [("schema", b"1")]  # version of what the values mean; readers that don't know it must stop
_AT_ONCE = 10_000  # records of one append that are under way at the same time
_GRACE_S = 2.0  # librdkafka looks for overdue records once a second
_LOOK_S = 1.0  # between two looks whether the cluster answers, while appends fail
_LONG = 4  # times that an append may take: after these a producer that gets nothing through is replaced, whatever the cluster seems to answer

Read = Callable[[str, int, int, int], list[StoredRecord]]


class _Run:
    """Records of one append to one partition, which follow one another: where the first and the last came to rest."""

    __slots__ = ("_pending", "first", "last", "values")

    def __init__(self, pending: "_Pending") -> None:
        self.values: list[tuple[str, bytes]] = []
        self.first = self.last = -1
        self._pending = pending

    def at_first(self, error: KafkaError | None, message: Message) -> None:
        self.first = message.offset() or 0
        self._pending.one_done(error)

    def at_last(self, error: KafkaError | None, message: Message) -> None:
        self.last = message.offset() or 0
        self._pending.one_done(error)


class _Pending:
    """An append that waits for its acknowledgements."""

    __slots__ = ("_left", "done", "error", "runs")

    def __init__(self) -> None:
        self.runs: dict[int, _Run] = {}
        self.error: KafkaError | None = None
        self.done = threading.Lock()
        self.done.acquire()
        self._left = 0

    def expect(self) -> None:
        self._left = sum(min(2, len(run.values)) for run in self.runs.values())

    def one_done(self, error: KafkaError | None) -> None:
        if error is not None:
            self.error = error
        self._left -= 1  # by the one thread that hears the acknowledgements
        if self._left == 0:
            self.done.release()


class KafkaWriter:
    """An idempotent producer, and another one when it has given up or lost its way.

    `read` tells where records went whose run was parted by another process, `answers` whether the cluster could take records.
    """

    def __init__(self, servers: str, partitions: int, config: KafkaConfig, names: Mapping[str, str], read: Read, answers: Callable[[], bool]) -> None:
        self._servers = servers
        self._partitions = partitions
        self._config = config
        self._names = names
        self._read = read
        self._answers = answers
        self._sending = threading.Lock()
        self._fatal = False
        self._closing = False
        self._overdue: set[tuple[str, int]] = set()  # topics and partitions whose latest append was not acknowledged in time
        self._look_at = 0.0
        self._overdue_since: float | None = None
        self._answering_since: float | None = None
        self._producer = self._new_producer()
        self._hearing = threading.Thread(target=self._hear, name="kafka-acknowledgements", daemon=True)
        self._hearing.start()

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        if len(records) > _AT_ONCE:
            return [place for at in range(0, len(records), _AT_ONCE) for place in self.append(topic, records[at : at + _AT_ONCE])]
        if not records:
            return []
        placed = [partition_of(key, self._partitions) if partition is None else partition for key, _, partition in records]
        if min(placed) < 0 or max(placed) >= self._partitions:
            raise StorageError(f"no partition {max(placed)} of {topic}; the event log at {self._servers} has {self._partitions}, counted from 0")
        pending = _Pending()
        runs = pending.runs
        for partition, (key, value, _) in zip(placed, records, strict=True):
            if not isinstance(value, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise StorageError(f"the event log at {self._servers} keeps bytes, not {type(value).__name__}")
            if partition not in runs:
                runs[partition] = _Run(pending)
            runs[partition].values.append((key, value))
        pending.expect()
        self._send(topic, runs)
        places = {(topic, partition) for partition in runs}
        if not pending.done.acquire(timeout=self._config.delivery_timeout_s + _GRACE_S):
            self._overdue |= places
            raise StorageError(f"{self._refused(topic)}: no answer within {self._config.delivery_timeout_s:g} s; is Kafka running?")
        if pending.error is not None:
            if pending.error.code() == KafkaError._MSG_TIMED_OUT:
                self._overdue |= places
            raise StorageError(f"{self._refused(topic)}: {pending.error.str()}; is Kafka running?")
        self._overdue -= places
        offsets = {partition: iter(self._places(topic, partition, run)) for partition, run in runs.items()}
        return [(partition, next(offsets[partition])) for partition in placed]

    def close(self) -> None:
        """Sends what still waits, within the delivery timeout."""
        with self._sending:
            if self._closing:
                return
            self._closing = True
        self._hearing.join()
        self._producer.flush(self._config.delivery_timeout_s)

    def _send(self, topic: str, runs: Mapping[int, _Run]) -> None:
        """Hands the records to librdkafka, run by run. Only the ends of a run report back: each report costs as much as the record."""
        name = self._names[topic]
        with self._sending:
            if self._closing:
                raise StorageError(f"{self._refused(topic)}: it is closed")
            produce = self._producer.produce
            try:
                for partition, run in runs.items():
                    last = len(run.values) - 1
                    for number, (key, value) in enumerate(run.values):
                        if number == last:
                            produce(name, value, key, partition, run.at_last, headers=_HEADERS)
                        elif number == 0:
                            produce(name, value, key, partition, run.at_first, headers=_HEADERS)
                        else:
                            produce(name, value, key, partition, headers=_HEADERS)
            except BufferError as problem:
                raise StorageError(f"{self._refused(topic)}: {self._config.queue_mib} MiB wait already; try again later") from problem
            except KafkaException as problem:
                self._fatal = self._fatal or problem.args[0].code() == KafkaError._FATAL
                raise StorageError(f"{self._refused(topic)}: {problem.args[0].str()}") from problem

    def _places(self, topic: str, partition: int, run: _Run) -> Sequence[int]:
        """The offset of each record of a run.

        A run may lie in several of the producer's batches. Each is stored as a whole and in its order, so a run whose
        ends are as far apart as it is long has no gap. Otherwise another process came between, and the log tells.
        """
        count = len(run.values)
        first = run.last if count == 1 else run.first
        if first < 0 or run.last < 0:  # stored once, but too long ago for the broker to say where
            raise StorageError(f"{self._refused(topic)}: where the records are is not known any more; sent again they may be there twice")
        if run.last - first == count - 1:
            return range(first, run.last + 1)
        mine: list[int] = []
        values = [value for _, value in run.values]
        at = first
        while at <= run.last and len(mine) < count:
            for offset, value in self._read(topic, partition, at, run.last + 1 - at):
                if len(mine) < count and value == values[len(mine)]:
                    mine.append(offset)
                at = offset + 1
        if len(mine) < count:
            raise StorageError(f"{self._refused(topic)}: only {len(mine)} of {count} records are between {first} and {run.last} of partition {partition}")
        return mine

    def _hear(self) -> None:
        """Lets acknowledgements in; also the client's log lines and errors."""
        while not self._closing:
            if not _listened(self._producer.poll, 0.2):
                self._fatal = True
            if self._fatal or self._is_lost():
                self._replace()

    def _is_lost(self) -> bool:
        """Whether the cluster has answered for longer than an append may take, and records still don't arrive.

        A producer that hears in the answer to a request that a partition has no leader any more, as from a broker that is about to
        stop, never asks for another (librdkafka 2.5 to 2.16 at least), and says nothing but that messages timed out.
        """
        now = time.monotonic()
        if not self._overdue:
            self._overdue_since = self._answering_since = None
            return False
        self._overdue_since = self._overdue_since or now
        if now >= self._look_at:
            self._answering_since = (self._answering_since or now) if self._answers() else None
            self._look_at = time.monotonic() + _LOOK_S
        patience_s = self._config.delivery_timeout_s + _GRACE_S
        answers_in_vain = self._answering_since is not None and now - self._answering_since > patience_s
        return answers_in_vain or now - self._overdue_since > _LONG * patience_s

    def _replace(self) -> None:
        log.warning("the producer has %s and is replaced", "given up" if self._fatal else "lost its way")
        with self._sending:
            given_up, self._producer = self._producer, self._new_producer()
            self._fatal = False
        self._overdue.clear()
        self._overdue_since = self._answering_since = None
        given_up.purge()
        until = time.monotonic() + _GRACE_S
        while not _listened(given_up.flush, _GRACE_S) and time.monotonic() < until:  # who waits for it learns that it was in vain
            pass

    def _refused(self, topic: str) -> str:
        return f"the event log at {self._servers} took no records of {self._names[topic]}"

    def _new_producer(self) -> Producer:
        config = self._config
        settings = config.connection(self._servers) | {
            "acks": "all",
            "enable.idempotence": True,
            # What follows a record that was given up must not be stored either: whoever goes on from the end of a partition would not see the gap.
            "enable.gapless.guarantee": True,
            "compression.type": config.compression,
            "max.in.flight.requests.per.connection": config.in_flight,
            "linger.ms": config.linger_ms,
            "batch.size": min(1 << 20, config.max_record_bytes),
            "message.max.bytes": config.max_record_bytes,
            "message.timeout.ms": int(config.delivery_timeout_s * 1000),
            "queue.buffering.max.kbytes": config.queue_mib * 1024,
            "queue.buffering.max.messages": config.queue_mib * 8192,  # of small records: each costs some memory of its own
            "retry.backoff.ms": 50,
            "retry.backoff.max.ms": 500,
        }
        return Producer(settings, logger=log)


def _listened(listen: Callable[[float], object], timeout_s: float) -> bool:
    """Lets callbacks in; False if the producer has given up, which it says by an exception in the midst of them, and at times by Python's own of that."""
    try:
        listen(timeout_s)
    except (KafkaException, SystemError) as problem:
        log.error("%s", problem.__cause__ or problem)
        return False
    return True

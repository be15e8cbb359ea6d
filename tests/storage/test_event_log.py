"""The contract of EventLog, over every backend."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reelrank.storage.event_log import DEAD_LETTERS, EVENTS, EXAMPLES, MODEL_ROWS, SIGNALS, EventLog, Record, StorageError, partition_of
from storage.backends import EVENT_LOGS, Start

Opener = Callable[..., EventLog]  # (path, partitions)

# Every child opens its log this way.
OPEN = """
import sys
from pathlib import Path
from storage.backends import EVENT_LOGS
from reelrank.storage.event_log import EVENTS, Record
log = EVENT_LOGS[sys.argv[1]](Path(sys.argv[2]), 2)
"""


@pytest.fixture(params=EVENT_LOGS)
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "kafka":
        request.getfixturevalue("kafka")
    return request.param


@pytest.fixture
def open_log(backend: str, tmp_path: Path) -> Iterator[Opener]:
    with ExitStack() as opened:

        def _open(path: Path = tmp_path / "log", partitions: int = 2) -> EventLog:
            log = EVENT_LOGS[backend](path, partitions)
            opened.callback(log.close)
            return log

        yield _open


@pytest.fixture
def log(open_log: Opener) -> EventLog:
    return open_log()


def key_of(partition: int, partitions: int = 2) -> str:
    """A key that belongs to `partition`."""
    return next(key for key in map(str, range(1_000)) if partition_of(key, partitions) == partition)


def values(log: EventLog, partition: int, offset: int = 0) -> list[bytes]:
    return [record.value for record in log.read(EVENTS, partition, offset, 1_000_000)]


def test_records_keep_their_order_within_a_partition(log: EventLog) -> None:
    one, other = key_of(0), key_of(1)
    log.append(EVENTS, [Record(one, b"a"), Record(other, b"b"), Record(one, b"c")])
    log.append(EVENTS, [Record(one, b"d")])
    assert values(log, 0) == [b"a", b"c", b"d"]
    assert values(log, 1) == [b"b"]


def test_offsets_begin_at_0_and_have_no_gaps(log: EventLog) -> None:
    assert log.end(EVENTS, 0) == log.end(EVENTS, 1) == 0
    places = [place for batch in range(5) for place in log.append(EVENTS, [Record(str(key), b"") for key in range(batch * 7, batch * 7 + 7)])]
    for partition in range(2):
        offsets = [offset for at, offset in places if at == partition]
        assert offsets == list(range(len(offsets)))
        assert [record.offset for record in log.read(EVENTS, partition, 0, 1_000)] == offsets
        assert log.end(EVENTS, partition) == len(offsets) > 0


def test_append_answers_with_the_place_of_each_record(log: EventLog) -> None:
    records = [Record(str(key), str(key).encode()) for key in range(20)]
    for record, (partition, offset) in zip(records, log.append(EVENTS, records), strict=True):
        assert partition == partition_of(record.key, 2)
        assert log.read(EVENTS, partition, offset, 1)[0].value == record.value


def test_reading_starts_at_an_offset_and_stops_at_a_number(log: EventLog) -> None:
    key = key_of(0)
    log.append(EVENTS, [Record(key, str(number).encode()) for number in range(300)])
    assert [record.offset for record in log.read(EVENTS, 0, 255, 3)] == [255, 256, 257]
    assert values(log, 0, 298) == [b"298", b"299"]
    assert log.read(EVENTS, 0, 300, 10) == []
    assert log.read(EVENTS, 0, 10_000, 10) == []
    assert log.read(EVENTS, 0, 0, 0) == []


def test_topics_and_partitions_do_not_see_each_other(log: EventLog) -> None:
    key = key_of(0)
    log.append(EVENTS, [Record(key, b"event")])
    log.append(SIGNALS, [Record(key, b"other")])
    log.append(EXAMPLES, [Record(key, b"third")])
    assert values(log, 0) == [b"event"]
    assert values(log, 1) == []
    assert log.read(SIGNALS, 0, 0, 10)[0].value == b"other"
    assert log.end(EXAMPLES, 0) == 1
    assert log.end(DEAD_LETTERS, 0) == 0


def test_a_record_goes_to_the_partition_that_it_names(log: EventLog) -> None:
    assert log.append(EVENTS, [Record(key_of(0), b"a", 1), Record(key_of(0), b"b"), Record(key_of(1), b"c", 1)]) == [(1, 0), (0, 0), (1, 1)]
    assert (values(log, 0), values(log, 1)) == ([b"b"], [b"a", b"c"])
    with pytest.raises(StorageError, match=r"no partition 2 of events; .* has 2, counted from 0"):
        log.append(EVENTS, [Record("a", b"x"), Record("b", b"x", 2)])


def test_an_empty_batch_appends_nothing(log: EventLog) -> None:
    assert log.append(EVENTS, []) == []
    assert log.end(EVENTS, 0) == 0


def test_large_and_empty_records_are_kept_as_they_are(log: EventLog) -> None:
    large = random.Random(1).randbytes(1_000_000)
    log.append(EVENTS, [Record(key_of(0), large), Record(key_of(0), b"")])
    assert values(log, 0) == [large, b""]


def test_a_log_that_is_opened_again_has_everything(open_log: Opener) -> None:
    log = open_log()
    log.append(EVENTS, [Record(key_of(0), b"a")])
    log.close()
    again = open_log()
    assert again.append(EVENTS, [Record(key_of(0), b"b")]) == [(0, 1)]
    assert values(again, 0) == [b"a", b"b"]


def test_the_partition_of_a_key_never_changes() -> None:
    assert partition_of("123456789", 1_000) == 0xCBF43926 % 1_000  # the published check value of CRC-32


def test_another_number_of_partitions_is_refused_with_the_way_out(open_log: Opener) -> None:
    open_log(partitions=2).close()
    with pytest.raises(StorageError, match=r"has 2 partitions, not 3; set storage.partitions = 2, or start a new log"):
        open_log(partitions=3)
    assert open_log(partitions=2).partitions == 2


def test_every_acknowledged_record_survives_kill_9(backend: str, open_log: Opener, start: Start, tmp_path: Path) -> None:
    program = f"""{OPEN}
number = 0
while True:
    places = log.append(EVENTS, [Record(str(number + i), str(number + i).encode()) for i in range(3)])
    for i, (partition, offset) in enumerate(places):
        print(number + i, partition, offset, flush=i == 2)
    number += 3
"""
    chance = random.Random()
    for _ in range(3):
        path = tmp_path / f"log {chance.random()}"
        child = start(program, backend, path)
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(chance.randint(1, 300))]  # it goes on while we read
        child.kill()
        lines += child.stdout.readlines()
        log = open_log(path)
        acknowledged = [tuple(map(int, line.split())) for line in lines if line.endswith("\n")]
        assert acknowledged
        for number, partition, offset in acknowledged:
            assert log.read(EVENTS, partition, offset, 1)[0].value == str(number).encode()
        log.append(EVENTS, [Record("next", b"works")])


def test_several_processes_append_at_once(backend: str, log: EventLog, start: Start, tmp_path: Path) -> None:
    program = f"""{OPEN}
for number in range(40):
    log.append(EVENTS, [Record(f"{{number}}", f"{{sys.argv[3]}} {{number}}".encode()) for _ in range(2)])
"""
    children = [start(program, backend, tmp_path / "log", name) for name in "ab"]
    for number in range(40):
        log.append(EVENTS, [Record(str(number), f"c {number}".encode())] * 2)
    assert [child.wait(60) for child in children] == [0, 0]
    stored = [value.decode().split() for partition in range(2) for value in values(log, partition)]
    assert sorted(stored) == sorted([name, str(number)] for name in "abc" for number in range(40) for _ in range(2))
    for partition in range(2):
        assert [record.offset for record in log.read(EVENTS, partition, 0, 1_000)] == list(range(log.end(EVENTS, partition)))
        for name in "abc":  # each writer's order is kept
            mine = [int(number) for writer, number in (value.decode().split() for value in values(log, partition)) if writer == name]
            assert mine == sorted(mine)


def test_what_another_process_appends_is_seen_at_once(backend: str, log: EventLog, start: Start, tmp_path: Path) -> None:
    writer = start(f"{OPEN}\nprint(log.append(EVENTS, [Record('{key_of(1)}', b'hello')]), flush=True)\nimport time; time.sleep(60)", backend, tmp_path / "log")
    assert writer.stdout is not None
    assert writer.stdout.readline() == "[(1, 0)]\n"
    assert values(log, 1) == [b"hello"]


def test_one_thread_s_bad_record_is_no_other_s_acknowledgement(log: EventLog) -> None:
    bad = [Record("a", "no bytes")]  # pyright: ignore[reportArgumentType]
    errors: list[BaseException] = []
    stopped = threading.Event()

    def write_bad() -> None:
        while not stopped.is_set():
            try:
                log.append(EVENTS, bad)
            except StorageError as problem:
                errors.append(problem)

    thread = threading.Thread(target=write_bad, daemon=True)
    thread.start()
    good = 0
    for _ in range(50):
        try:
            log.append(EVENTS, [Record("a", b"good")])
            good += 1
        except StorageError:  # it shared a commit with the bad one
            pass
    stopped.set()
    thread.join(30)
    assert errors
    assert values(log, partition_of("a", 2)) == [b"good"] * good


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(st.tuples(st.sampled_from(["ana", "ben", "cid", "dee"]), st.none() | st.integers(0, 1)), max_size=30), max_size=8),
    at_most=st.integers(1, 12),
)
def test_whatever_is_appended_is_read_once_and_in_order(log: EventLog, batches: list[list[tuple[str, int | None]]], at_most: int) -> None:
    begins = [log.end(EVENTS, partition) for partition in range(2)]
    written: list[list[tuple[int, bytes]]] = [[], []]
    for batch in batches:
        records = [Record(key, f"{key} {number}".encode(), partition) for number, (key, partition) in enumerate(batch)]
        for record, (partition, offset) in zip(records, log.append(EVENTS, records), strict=True):
            written[partition].append((offset, record.value))
    for partition, offset in enumerate(begins):
        found: list[tuple[int, bytes]] = []
        while part := log.read(EVENTS, partition, offset, at_most):
            assert len(part) <= at_most
            found += [(record.offset, record.value) for record in part]
            offset = part[-1].offset + 1
        assert found == written[partition]
        assert offset == log.end(EVENTS, partition)


def test_waiting_ends_with_what_another_process_appends(backend: str, log: EventLog, start: Start, tmp_path: Path) -> None:
    writer = start(f"{OPEN}\nsys.stdin.readline()\nlog.append(EVENTS, [Record('{key_of(1)}', b'hello')])", backend, tmp_path / "log")
    assert log.wait(EVENTS, {0: 0, 1: 0}, 0.1) == frozenset()
    assert writer.stdin is not None
    writer.stdin.write("now\n")
    writer.stdin.flush()
    assert log.wait(EVENTS, {0: 0, 1: 0}, 60) == {1}
    assert values(log, 1) == [b"hello"]


def test_looking_again_and_again_without_waiting_finds_what_has_come(log: EventLog) -> None:
    for offset in range(3):
        assert log.wait(EVENTS, {0: offset}, 0) == frozenset()
        log.append(EVENTS, [Record("k", b"x", 0)])
        deadline = time.monotonic() + 30
        while log.wait(EVENTS, {0: offset}, 0) != {0}:
            assert time.monotonic() < deadline
            time.sleep(0.001)


def test_waiting_names_the_partitions_that_have_what_is_waited_for(log: EventLog) -> None:
    log.append(EVENTS, [Record("a", b"1", 0), Record("a", b"2", 0), Record("a", b"3", 1)])
    assert log.wait(EVENTS, {0: 1, 1: 0}, 60) == {0, 1}
    assert log.wait(EVENTS, {0: 1, 1: 1}, 60) == {0}
    assert log.wait(EVENTS, {0: 2, 1: 1}, 0) == frozenset()
    before = time.monotonic()
    assert log.wait(EVENTS, {0: 2, 1: 50}, 0.2) == frozenset()
    assert 0.2 <= time.monotonic() - before < 5
    log.append(EVENTS, [Record("a", b"4", 1)])
    assert log.wait(EVENTS, {0: 2, 1: 50}, 0.1) == frozenset()
    assert values(log, 1, 1) == [b"4"]


def test_threads_read_different_partitions_while_one_waits(log: EventLog) -> None:
    stopped = threading.Event()
    found: dict[int, list[int]] = {0: [], 1: []}

    def follow(partition: int) -> None:
        while not (stopped.is_set() and len(found[partition]) == log.end(EVENTS, partition)):
            offset = len(found[partition])
            log.wait(EVENTS, {partition: offset}, 0.05)
            found[partition] += [int(record.value) for record in log.read(EVENTS, partition, offset, 7)]

    threads = [threading.Thread(target=follow, args=(partition,), daemon=True) for partition in found]
    for thread in threads:
        thread.start()
    for number in range(200):
        log.append(EVENTS, [Record("a", str(number).encode(), partition) for partition in found])
    stopped.set()
    for thread in threads:
        thread.join(60)
    assert found == {0: list(range(200)), 1: list(range(200))}


def test_readers_at_different_places_of_a_partition_do_not_disturb_each_other(log: EventLog) -> None:
    log.append(EVENTS, [Record("a", str(number).encode(), 0) for number in range(300)])
    offsets = [0, 100, 200]
    for _ in range(10):
        for reader, offset in enumerate(offsets):
            assert [int(record.value) for record in log.read(EVENTS, 0, offset, 10)] == list(range(offset, offset + 10))
            assert [record.offset for record in log.read(EVENTS, 0, offset, 5)] == list(range(offset, offset + 5))  # who failed asks again
            offsets[reader] += 10


def test_what_is_let_go_of_is_gone_and_offsets_go_on(log: EventLog) -> None:
    assert log.begin(MODEL_ROWS, 0) == 0
    log.append(MODEL_ROWS, [Record("", str(number).encode(), 0) for number in range(10)])
    log.forget(MODEL_ROWS, 0, 6)
    assert log.begin(MODEL_ROWS, 0) == 6
    assert [record.value for record in log.read(MODEL_ROWS, 0, 6, 100)] == [b"6", b"7", b"8", b"9"]
    with pytest.raises(StorageError, match="begins at 6, 5 is not kept any more"):
        log.read(MODEL_ROWS, 0, 5, 1)
    log.forget(MODEL_ROWS, 0, 3)  # gone already
    log.forget(MODEL_ROWS, 0, 1_000)
    assert log.read(MODEL_ROWS, 0, 9, 100)[0].value == b"9"
    assert log.append(MODEL_ROWS, [Record("", b"10", 0)]) == [(0, 10)]
    log.forget(MODEL_ROWS, 1, 5)  # where there was never anything
    assert log.end(MODEL_ROWS, 1) == 0

"""The contract of EventLog, over every backend."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reelrank.storage.event_log import EVENTS, EventLog, Record, StorageError, partition_of
from reelrank.storage.event_log_embedded import EmbeddedEventLog
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
    return request.param


@pytest.fixture
def open_log(backend: str, tmp_path: Path) -> Iterator[Opener]:
    with ExitStack() as opened:

        def _open(path: Path = tmp_path / "log", partitions: int = 2, **options: int) -> EventLog:
            log = EVENT_LOGS[backend](path, partitions, **options)
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
    log.append("events", [Record(key, b"event")])
    log.append("event", [Record(key, b"other")])
    log.append("events2", [Record(key, b"third")])
    assert values(log, 0) == [b"event"]
    assert values(log, 1) == []
    assert log.read("event", 0, 0, 10)[0].value == b"other"
    assert log.end("events2", 0) == 1
    assert log.end("dead_letters", 0) == 0


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
        assert sum(log.end(EVENTS, partition) for partition in range(2)) % 3 == 0  # no half batch
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


def test_threads_that_append_at_once_share_commits(log: EventLog) -> None:
    assert isinstance(log, EmbeddedEventLog)
    writers, rounds = 16, 10
    barrier = threading.Barrier(writers)
    before = _commits(log)

    def write(name: int) -> None:
        for number in range(rounds):
            barrier.wait(30)
            for partition, offset in log.append(EVENTS, [Record(f"{name} {number}", f"{name} {number}".encode())]):
                assert log.read(EVENTS, partition, offset, 1)[0].value == f"{name} {number}".encode()

    threads = [threading.Thread(target=write, args=(name,), daemon=True) for name in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(log.end(EVENTS, partition) for partition in range(2)) == writers * rounds
    assert _commits(log) - before < writers * rounds / 2


def _commits(log: EmbeddedEventLog) -> int:
    return log._env.info()["last_txnid"]  # pyright: ignore[reportPrivateUsage]


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


def test_a_partition_has_one_reader_of_a_group(open_log: Opener, tmp_path: Path) -> None:
    log = open_log()
    claim = log.claim("stream", 0)
    assert claim is not None
    with claim:
        assert log.claim("stream", 0) is None
        for free in (log.claim("stream", 1), log.claim("train", 0)):
            assert free is not None
            with free:
                pass
    again = log.claim("stream", 0)
    assert again is not None
    with again:
        pass


def test_a_killed_reader_lets_go_of_its_partition(backend: str, log: EventLog, start: Start, tmp_path: Path) -> None:
    program = f"{OPEN}\nimport time\nwith log.claim('stream', 0):\n    print('held', flush=True)\n    time.sleep(60)"
    child = start(program, backend, tmp_path / "log")
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    assert log.claim("stream", 0) is None
    child.kill()
    child.wait(30)
    deadline = time.monotonic() + 30
    while (claim := log.claim("stream", 0)) is None:
        assert time.monotonic() < deadline
    with claim:
        pass


def test_a_full_disk_acknowledges_nothing_and_loses_nothing(open_log: Opener, small_disk: Path) -> None:
    _fill(open_log, small_disk / "log")


def test_a_full_file_acknowledges_nothing_and_loses_nothing(open_log: Opener, tmp_path: Path) -> None:
    _fill(open_log, tmp_path / "full", max_bytes=1 << 20)


def _fill(open_log: Opener, path: Path, **options: int) -> None:
    log = open_log(path, **options)
    acknowledged = 0
    with pytest.raises(StorageError, match="can't be written"):
        for _ in range(1_000):
            log.append(EVENTS, [Record(key_of(0), bytes(30_000)), Record(key_of(0), bytes(10))])
            acknowledged += 2
    assert acknowledged > 10
    assert [len(value) for value in values(log, 0)] == [30_000, 10] * (acknowledged // 2)
    with pytest.raises(StorageError):
        log.append(EVENTS, [Record(key_of(0), bytes(300_000))])
    assert log.end(EVENTS, 0) == acknowledged
    log.close()
    assert open_log(path, **options).end(EVENTS, 0) == acknowledged


def test_a_folder_that_is_no_log_is_named(open_log: Opener, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "data.mdb").write_bytes(b"something else" * 1_000)
    with pytest.raises(StorageError, match=f"can't open the event log at {tmp_path}/log"):
        open_log()

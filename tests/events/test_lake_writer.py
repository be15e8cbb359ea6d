"""The lake writer: the log's copy in the tables, each record once."""

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest

from features.slate_log import SlateLog, visits
from features.slates import NOW
from reelrank.benchmarks.example_check import check_events, check_examples
from reelrank.domain.clock import ManualClock
from reelrank.events.lake_writer import LakeWriter
from reelrank.features.attribution import AttributionConfig
from reelrank.features.attributor import Attributor
from reelrank.storage.event_log import EVENTS, EXAMPLES, Record, StorageError
from reelrank.storage.lake import Lake, LakeConfig
from reelrank.storage.lake_schema import EVENTS_TABLE, EXAMPLES_TABLE

CONFIG = AttributionConfig(window_s=60, remember_s=300, progress_every=50, batch=20)


def writer(slates: SlateLog, lake: Lake) -> LakeWriter:
    return LakeWriter(slates.log, lake, ManualClock(NOW))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), LakeConfig(flush_rows=100, flush_s=0.0))


def attribute(slates: SlateLog) -> None:
    Attributor(slates.log, slates.columns, CONFIG).catch_up()


def test_events_and_examples_are_copied_as_they_are(slates: SlateLog, lake: Lake) -> None:
    slates.append(*visits(0, 150))
    attribute(slates)
    writer(slates, lake).catch_up()
    missing, double, compared = check_events(slates.log, lake)
    assert (missing, double) == (0, 0)
    assert compared == sum(slates.log.end(EVENTS, partition) for partition in range(2))
    assert check_examples(slates.log, lake, slates.columns, CONFIG)[:2] == (0, 0)


def test_a_writer_goes_on_where_the_last_one_committed(slates: SlateLog, lake: Lake) -> None:
    for number in range(4):
        slates.append(*visits(number * 20, 20))
        attribute(slates)
        one = writer(slates, lake)
        assert one.flush(EVENTS, range(2)) > 0  # some of it, and this one is never heard of again
        one.flush(EXAMPLES, [number % 2])
    writer(slates, lake).catch_up()
    assert check_events(slates.log, lake)[:2] == (0, 0)
    assert check_examples(slates.log, lake, slates.columns, CONFIG)[:2] == (0, 0)


def test_examples_that_were_appended_twice_are_copied_once(slates: SlateLog, lake: Lake) -> None:
    slates.append(*visits(0, 60))
    attribute(slates)
    one = writer(slates, lake)
    for _ in range(3):  # somebody who lost the partition, and does not know it yet
        one.flush(EXAMPLES, range(2))
        slates.log.append(EXAMPLES, [Record("", record.value, partition) for partition in range(2) for record in slates.log.read(EXAMPLES, partition, 3, 40)])
        one = writer(slates, lake)
    one.catch_up()
    assert check_examples(slates.log, lake, slates.columns, CONFIG)[:2] == (0, 0)


def test_two_writers_of_the_same_partitions_copy_everything_once(slates: SlateLog, lake: Lake) -> None:
    slates.append(*visits(0, 200))
    attribute(slates)
    lake.positions(EVENTS_TABLE, [])

    def copy() -> None:
        mine = LakeWriter(slates.log, Lake(lake.url, lake.config), ManualClock(NOW))
        for topic in (EVENTS, EXAMPLES):
            for _ in range(1_000):
                try:
                    if not mine.flush(topic, range(2)):
                        break
                except StorageError:  # a conflict: the other one was faster
                    continue

    threads = [threading.Thread(target=copy) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert check_events(slates.log, lake)[:2] == (0, 0)
    assert check_examples(slates.log, lake, slates.columns, CONFIG)[:2] == (0, 0)


def test_it_follows_the_log_until_it_is_stopped(slates: SlateLog, lake: Lake) -> None:
    one, stopping = writer(slates, lake), threading.Event()
    thread = threading.Thread(target=one.follow, args=(stopping.is_set,))
    thread.start()
    slates.append(*visits(0, 20))
    attribute(slates)
    deadline = time.monotonic() + 10
    while check_events(slates.log, lake).missing or check_examples(slates.log, lake, slates.columns, CONFIG).missing:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stopping.set()
    thread.join(10)
    assert not thread.is_alive()
    assert one.lag(EVENTS, range(2)) == one.lag(EXAMPLES, range(2)) == 0


def test_while_the_lake_is_away_it_waits_and_then_copies_what_it_missed(slates: SlateLog, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = tmp_path / "lake"
    place.write_text("a file where the folder should be")
    one, stopping = writer(slates, Lake(str(place), LakeConfig(flush_s=0.0))), threading.Event()
    slates.append(*visits(0, 5))
    thread = threading.Thread(target=one.follow, args=(stopping.is_set,))
    thread.start()
    deadline = time.monotonic() + 10
    while "the lake waits" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    place.unlink()
    while not one.copied[EVENTS]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    stopping.set()
    thread.join(10)
    assert check_events(slates.log, Lake(str(place)))[:2] == (0, 0)


def test_maintenance_puts_past_days_together_and_deletes_old_ones(slates: SlateLog, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"), LakeConfig(flush_rows=40, retain_days=3))
    slates.append(*visits(0, 100))
    one = LakeWriter(slates.log, lake, clock := ManualClock(NOW))
    one.catch_up()
    assert one.maintain() == {"compacted": 0, "deleted_rows": 0, "vacuumed": 0}
    clock.advance_to(NOW + 86_400)
    assert one.maintain()["compacted"] > 2
    rows = lake.status(EVENTS_TABLE, []).rows
    clock.advance_to(NOW + 9 * 86_400)
    assert one.maintain()["deleted_rows"] == rows == check_events(slates.log, lake).missing
    one.catch_up()
    assert lake.status(EVENTS_TABLE, []).rows == lake.status(EXAMPLES_TABLE, []).rows == 0  # what was deleted does not come back


COPIER = """
import sys
from pathlib import Path
from features.slate_log import open_slate_log
from reelrank.domain.clock import SystemClock
from reelrank.events.lake_writer import LakeWriter
from reelrank.storage.lake import Lake, LakeConfig
slates = open_slate_log(Path(sys.argv[1]))
LakeWriter(slates.log, Lake(sys.argv[2], LakeConfig(flush_rows=50, flush_s=0.0)), SystemClock()).follow(lambda: False)
"""


def test_writers_that_are_killed_again_and_again_leave_each_record_once(slates: SlateLog, lake: Lake, tmp_path: Path) -> None:
    chance = random.Random(3)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-W", "error", "-c", COPIER, str(tmp_path), lake.url]
    children = [subprocess.Popen(command, env=environment) for _ in range(2)]
    try:
        for number in range(60):
            slates.append(*visits(number * 10, 10))
            attribute(slates)
            time.sleep(0.05)
            if number % 12 == 11:
                victim = chance.randrange(2)
                children[victim].kill()
                children[victim].wait()
                children[victim] = subprocess.Popen(command, env=environment)
    finally:
        for child in children:
            child.kill()
            child.wait()
    copied = len(pl.scan_delta(f"{lake.url}/{EVENTS_TABLE}").select("offset").collect())
    writer(slates, lake).catch_up()
    assert copied > 0
    assert check_events(slates.log, lake)[:2] == (0, 0)
    assert check_examples(slates.log, lake, slates.columns, CONFIG)[:2] == (0, 0)

"""The check of examples: it finds what is missing, what is double, and what is not as it should be."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl
import pytest

from features.slate_log import SlateLog, open_slate_log, visits
from features.slates import NOW
from reelrank.benchmarks.example_check import check_events, check_examples
from reelrank.domain.clock import ManualClock
from reelrank.domain.example import Example, decode_example, encode_example
from reelrank.events.lake_rows import event_rows, example_rows
from reelrank.events.lake_writer import LakeWriter
from reelrank.features.attribution import AttributionConfig
from reelrank.features.attributor import Attributor, all_examples
from reelrank.storage.event_log import EVENTS, EXAMPLES, Record
from reelrank.storage.event_log_embedded import EmbeddedEventLog
from reelrank.storage.lake import Lake
from reelrank.storage.lake_schema import EVENTS_TABLE, EXAMPLES_TABLE

CONFIG = AttributionConfig(window_s=60, remember_s=300)


@pytest.fixture
def slates(tmp_path: Path) -> Iterator[SlateLog]:
    found = open_slate_log(tmp_path)
    found.append(*visits(0, 60))
    Attributor(found.log, found.columns, CONFIG).catch_up()
    yield found
    found.close()


@pytest.fixture
def lake(slates: SlateLog, tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    LakeWriter(slates.log, lake, ManualClock(NOW)).catch_up()
    return lake


def other_topic(slates: SlateLog, folder: Path, change: Example | None, leave_out: int) -> SlateLog:
    """The same events, and the examples without one, or with one changed."""
    log = EmbeddedEventLog(folder, 2)
    for topic in (EVENTS, EXAMPLES):
        for partition in range(2):
            for record in slates.log.read(topic, partition, 0, 100_000):
                value = record.value
                if topic == EXAMPLES and partition == 0 and record.offset == leave_out:
                    if change is None:
                        continue
                    value = encode_example(change)
                log.append(topic, [Record("", value, partition)])
    return slates._replace(log=log)


def test_a_complete_log_and_lake_have_nothing_missing_and_nothing_double(slates: SlateLog, lake: Lake) -> None:
    missing, double, compared = check_examples(slates.log, lake, slates.columns, CONFIG)
    assert (missing, double) == (0, 0)
    assert compared == sum(len(list(all_examples(slates.log, partition))) for partition in range(2)) > 50


def test_an_example_that_is_not_there_is_missing(slates: SlateLog, tmp_path: Path) -> None:
    other = other_topic(slates, tmp_path / "other", None, leave_out=5)
    assert check_examples(other.log, None, other.columns, CONFIG)[:2] == (1, 0)
    other.log.close()


def test_an_example_that_says_something_else_is_missing(slates: SlateLog, tmp_path: Path) -> None:
    right = decode_example(slates.log.read(EXAMPLES, 0, 5, 1)[0].value)
    wrong = msgspec.structs.replace(right, labels=msgspec.structs.replace(right.labels, like=not right.labels.like))
    other = other_topic(slates, tmp_path / "other", wrong, leave_out=5)
    assert check_examples(other.log, None, other.columns, CONFIG)[:2] == (1, 0)
    other.log.close()


def test_an_example_that_nothing_in_the_log_makes_is_double(slates: SlateLog) -> None:
    last = decode_example(slates.log.read(EXAMPLES, 0, slates.log.end(EXAMPLES, 0) - 1, 1)[0].value)
    again = msgspec.structs.replace(last, offset=10**6)
    slates.log.append(EXAMPLES, [Record("", encode_example(again), 0)])
    assert check_examples(slates.log, None, slates.columns, CONFIG)[:2] == (0, 1)


def test_rows_of_the_lake_that_are_missing_or_double_are_found(slates: SlateLog, lake: Lake) -> None:
    lake.open(EXAMPLES_TABLE).delete(f'partition = 0 AND "offset" = {next(all_examples(slates.log, 0)).offset}')
    gone = check_examples(slates.log, lake, slates.columns, CONFIG)
    assert gone.missing >= 1
    one = list(all_examples(slates.log, 1))[3]
    lake.append(EXAMPLES_TABLE, example_rows([one]), {})
    assert check_examples(slates.log, lake, slates.columns, CONFIG)[:2] == (gone.missing, 1)


def test_events_of_the_lake_that_are_missing_or_double_are_found(slates: SlateLog, lake: Lake) -> None:
    records = slates.log.read(EVENTS, 1, 0, 3)
    lake.append(EVENTS_TABLE, pl.concat([event_rows(1, records), event_rows(1, records[:1])]), {})
    assert check_events(slates.log, lake)[:2] == (0, 4)
    lake.open(EVENTS_TABLE).delete('partition = 0 AND "offset" < 2')
    assert check_events(slates.log, lake)[:2] == (2, 4)

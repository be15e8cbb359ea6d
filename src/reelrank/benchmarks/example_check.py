"""Are there exactly the examples that the log says? Folds it anew and compares with the topic and with the lake's table."""

from collections.abc import Iterator
from typing import NamedTuple

import polars as pl

from reelrank.domain.event import decode_accepted
from reelrank.domain.example import PROGRESS, Example, decode_example
from reelrank.events.lake_rows import example_rows
from reelrank.features.attribution import Attribution, AttributionConfig
from reelrank.features.attributor import VideoFinder, all_examples
from reelrank.features.columns import VideoColumns
from reelrank.storage.event_log import EVENTS, EventLog, StoredRecord
from reelrank.storage.lake import Lake
from reelrank.storage.lake_schema import EVENTS_TABLE, EXAMPLES_TABLE

_AT_A_TIME = 5_000
_KEY = ["partition", "offset", "part"]


class Compared(NamedTuple):
    """How many were not there (or not as they should be), how many were there too often, and how many should be."""

    missing: int
    double: int
    compared: int


def check_examples(log: EventLog, lake: Lake | None, columns: VideoColumns, config: AttributionConfig) -> Compared:
    """Compares each record's every bit in the topic, and every column in the table. Attribution and the lake must have come to the end of the log."""
    missing = double = compared = 0
    find = VideoFinder(columns)
    table = None if lake is None else pl.scan_delta(lake.open(EXAMPLES_TABLE)).collect()
    for partition in range(log.partitions):
        expected = {record.origin: record for record in _expected(log, partition, find, config)}
        found = list(all_examples(log, partition))
        missing += len(expected) - sum(expected.get(record.origin) == record for record in found)
        double += sum(record.origin not in expected for record in found)
        compared += len(expected)
        if table is not None:
            lost, again = _in_table(table.filter(pl.col("partition") == partition), list(expected.values()))
            missing, double = missing + lost, double + again
    return Compared(missing, double, compared)


def check_events(log: EventLog, lake: Lake) -> Compared:
    """The same for the copy of the events, by their offsets and their bytes."""
    table = pl.scan_delta(lake.open(EVENTS_TABLE)).select("partition", "offset", "record").collect()
    missing = double = compared = 0
    for partition in range(log.partitions):
        copied = table.filter(pl.col("partition") == partition)
        held = dict(zip(copied["offset"].to_list(), copied["record"].to_list(), strict=True))
        records = 0
        for record in _records(log, partition):
            missing += held.get(record.offset) != record.value
            records += 1
        double += len(copied) - min(len(held), records)
        compared += records
    return Compared(missing, double, compared)


def _in_table(copied: pl.DataFrame, expected: list[Example]) -> tuple[int, int]:
    rows = example_rows(expected).sort(_KEY)
    copied = copied.select(rows.columns).cast(rows.schema).sort(_KEY)
    if copied.equals(rows):
        return 0, 0
    wanted = {row[: len(_KEY)]: row for row in rows.select(*_KEY, pl.exclude(_KEY)).rows()}
    there = {row[: len(_KEY)]: row for row in copied.select(*_KEY, pl.exclude(_KEY)).rows()}
    missing = sum(there.get(key) != row for key, row in wanted.items())
    return missing, len(copied) - len(there.keys() & wanted.keys())


def _expected(log: EventLog, partition: int, find: VideoFinder, config: AttributionConfig) -> Iterator[Example]:
    """What one fold from the beginning makes."""
    attribution = Attribution(partition, config, find)
    for record in _records(log, partition):
        attribution.fold(record.offset, decode_accepted(record.value))
        yield from (made for made in map(decode_example, attribution.made) if made.kind != PROGRESS)
        attribution.made.clear()


def _records(log: EventLog, partition: int) -> Iterator[StoredRecord]:
    offset = 0
    while records := log.read(EVENTS, partition, offset, _AT_A_TIME):
        yield from records
        offset = records[-1].offset + 1

"""The lake: Delta tables by day, appended to exactly once."""

import random
import signal
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from reelrank.storage.event_log import StorageError
from reelrank.storage.lake import Lake, LakeConfig, LakeConflict
from reelrank.storage.lake_schema import EVENTS_TABLE, EXAMPLES_TABLE, TABLES, schema_of
from storage.backends import Start

TODAY = date(2026, 3, 10)


def some(offsets: range, day: date = TODAY, size: int = 1, table: str = EVENTS_TABLE) -> pl.DataFrame:
    """Rows of a day with these offsets."""
    schema = schema_of(table)
    moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    given = {"day": [day] * len(offsets), "partition": [0] * len(offsets), "offset": list(offsets)}
    if table == EVENTS_TABLE:
        given |= {"occurred_at": [moment] * len(offsets), "record": [bytes(size)] * len(offsets)}
    return pl.DataFrame({name: given.get(name, [None] * len(offsets)) for name in schema}, schema=schema)


def offsets_in(lake: Lake, table: str = EVENTS_TABLE) -> list[int]:
    return sorted(pl.scan_delta(f"{lake.url}/{table}").select("offset").collect()["offset"].to_list())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_rows_and_the_positions_they_stand_for_are_written_together(lake: Lake) -> None:
    assert lake.positions(EVENTS_TABLE, ["events-0", "events-1"]) == {"events-0": 0, "events-1": 0}
    lake.append(EVENTS_TABLE, some(range(3)), {"events-0": (0, 3)})
    lake.append(EVENTS_TABLE, some(range(3, 4)), {"events-0": (3, 4), "events-1": (0, 9)})
    again = Lake(lake.url)
    assert again.positions(EVENTS_TABLE, ["events-0", "events-1"]) == {"events-0": 4, "events-1": 9}
    assert again.positions(EXAMPLES_TABLE, ["events-0"]) == {"events-0": 0}
    assert offsets_in(again) == [0, 1, 2, 3]


def test_positions_that_stand_elsewhere_are_a_conflict_and_nothing_is_written(lake: Lake) -> None:
    lake.append(EVENTS_TABLE, some(range(3)), {"events-0": (0, 3)})
    with pytest.raises(LakeConflict, match=r"events-0 .* stands at 3, not at 0"):
        lake.append(EVENTS_TABLE, some(range(3)), {"events-0": (0, 3)})
    assert offsets_in(lake) == [0, 1, 2]


def test_positions_survive_checkpoints_and_compaction(lake: Lake) -> None:
    for number in range(130):  # every hundredth commit makes a checkpoint
        lake.append(EVENTS_TABLE, some(range(number, number + 1)), {"events-0": (number, number + 1)})
    assert list(Path(lake.url, EVENTS_TABLE, "_delta_log").glob("*.checkpoint.parquet"))
    assert lake.compact(TODAY + timedelta(days=1)) == 130
    assert Lake(lake.url).positions(EVENTS_TABLE, ["events-0"]) == {"events-0": 130}
    assert offsets_in(lake) == list(range(130))
    assert lake.status(EVENTS_TABLE, []).files == 1


def test_many_writers_of_one_position_write_each_row_once(lake: Lake) -> None:
    lake.positions(EVENTS_TABLE, [])
    conflicts: list[LakeConflict] = []

    def write() -> None:
        mine = Lake(lake.url)
        while (at := mine.positions(EVENTS_TABLE, ["events-0"])["events-0"]) < 40:
            try:
                mine.append(EVENTS_TABLE, some(range(at, at + 2)), {"events-0": (at, at + 2)})
            except LakeConflict as conflict:
                conflicts.append(conflict)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert offsets_in(lake) == list(range(40))
    assert conflicts


def test_writers_of_different_positions_do_not_hinder_each_other(lake: Lake) -> None:
    lake.positions(EVENTS_TABLE, [])

    def write(name: str) -> None:
        mine = Lake(lake.url)
        for at in range(10):
            mine.append(EVENTS_TABLE, some(range(at, at + 1)), {name: (at, at + 1)})

    threads = [threading.Thread(target=write, args=(f"events-{partition}",)) for partition in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert offsets_in(lake) == sorted([*range(10)] * 3)
    assert set(lake.positions(EVENTS_TABLE, ["events-0", "events-1", "events-2"]).values()) == {10}


def test_today_is_compacted_only_when_it_has_many_files(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"), LakeConfig(compact_files=4))
    for number in range(3):
        lake.append(EVENTS_TABLE, some(range(number, number + 1)), {"events-0": (number, number + 1)})
    assert lake.compact(TODAY) == 0
    lake.append(EVENTS_TABLE, some(range(3, 4)), {"events-0": (3, 4)})
    assert lake.compact(TODAY) == 4
    assert lake.compact(TODAY) == lake.compact(TODAY + timedelta(days=1)) == 0
    assert offsets_in(lake) == [0, 1, 2, 3]


def test_rows_may_be_appended_while_days_are_compacted(lake: Lake) -> None:
    for number in range(20):
        lake.append(EVENTS_TABLE, some(range(number, number + 1), size=2_000), {"events-0": (number, number + 1)})
    compacting = threading.Thread(target=lake.compact, args=(TODAY + timedelta(days=1),))
    compacting.start()
    other = Lake(lake.url)
    for number in range(20, 40):
        other.append(EVENTS_TABLE, some(range(number, number + 1)), {"events-0": (number, number + 1)})
    compacting.join()
    assert offsets_in(lake) == list(range(40))


def test_days_that_are_older_than_they_are_kept_go_as_a_whole(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"), LakeConfig(retain_days=2))
    for number in range(5):
        lake.append(EVENTS_TABLE, some(range(number, number + 1), TODAY - timedelta(days=number)), {"events-0": (number, number + 1)})
    assert lake.forget(TODAY) == 2
    assert offsets_in(lake) == [0, 1, 2]
    status = lake.status(EVENTS_TABLE, ["events-0"])
    assert (status.first_day, status.last_day, status.days, status.rows, status.positions) == ("2026-03-08", "2026-03-10", 3, 3, {"events-0": 5})


def test_everything_is_kept_when_nothing_is_said(lake: Lake) -> None:
    lake.append(EVENTS_TABLE, some(range(1), date(1999, 1, 1)), {"events-0": (0, 1)})
    assert lake.forget(TODAY) == 0
    assert offsets_in(lake) == [0]


def test_vacuum_leaves_what_somebody_may_still_read(lake: Lake) -> None:
    for number in range(3):
        lake.append(EVENTS_TABLE, some(range(number, number + 1)), {"events-0": (number, number + 1)})
    lake.compact(TODAY + timedelta(days=1))
    assert lake.vacuum() == 0  # they became superfluous a moment ago
    lake.open(EVENTS_TABLE).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert len(list(Path(lake.url, EVENTS_TABLE).rglob("*.parquet"))) == 1
    assert offsets_in(lake) == [0, 1, 2]


@pytest.mark.parametrize("table", TABLES)
def test_polars_and_duckdb_read_the_tables(lake: Lake, table: str) -> None:
    lake.append(table, some(range(5), table=table), {"x": (0, 5)})
    lake.append(table, some(range(5, 7), TODAY - timedelta(days=1), table=table), {"x": (5, 7)})
    assert pl.read_delta(f"{lake.url}/{table}").schema == schema_of(table)
    found = lake.open(table).to_pyarrow_dataset()  # noqa: F841 (DuckDB finds it by its name)
    query = f"SELECT day, count(*), sum(\"offset\") FROM found WHERE day >= DATE '{TODAY}' GROUP BY day"
    assert duckdb.sql(query).fetchall() == [(TODAY, 5, 10)]


def test_a_table_is_readable_by_the_oldest_readers(lake: Lake) -> None:
    protocol = lake.open(EVENTS_TABLE).protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)


def test_an_address_that_deltalake_cannot_use_is_told_with_the_way_out() -> None:
    with pytest.raises(StorageError, match=r"storage_options wrong"):
        Lake("nowhere://bucket/lake").positions(EVENTS_TABLE, ["events-0"])


def test_another_address_is_passed_on(tmp_path: Path) -> None:
    lake = Lake((tmp_path / "elsewhere").as_uri())
    lake.append(EVENTS_TABLE, some(range(2)), {"events-0": (0, 2)})
    assert (tmp_path / "elsewhere" / "events" / "_delta_log").is_dir()


def test_a_writer_that_is_killed_leaves_rows_and_positions_that_belong_together(lake: Lake, start: Start) -> None:
    program = """
import sys
from storage.test_lake import some
from reelrank.storage.lake import Lake
from reelrank.storage.lake_schema import EVENTS_TABLE
lake = Lake(sys.argv[1])
while True:
    at = lake.positions(EVENTS_TABLE, ["events-0"])["events-0"]
    lake.append(EVENTS_TABLE, some(range(at, at + 5)), {"events-0": (at, at + 5)})
    print(at + 5, flush=True)
"""
    acknowledged = 0
    for number in range(6):
        child = start(program, lake.url)
        assert child.stdout is not None
        for _ in range(2 + number):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        child.wait()
    position = Lake(lake.url).positions(EVENTS_TABLE, ["events-0"])["events-0"]
    assert position >= acknowledged > 0
    assert offsets_in(lake) == list(range(position))


def test_a_full_disk_writes_nothing_and_ends_well_when_there_is_room(small_disk: Path) -> None:
    lake = Lake(str(small_disk / "lake"))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2_000_000))
    at = 0
    noise = random.Random(1)
    with pytest.raises(StorageError, match="is the disk full") as failed:
        while True:
            rows = some(range(at, at + 10)).with_columns(record=pl.Series([noise.randbytes(20_000) for _ in range(10)]))
            lake.append(EVENTS_TABLE, rows, {"events-0": (at, at + 10)})
            at += 10
    assert not isinstance(failed.value, LakeConflict)
    assert Lake(lake.url).positions(EVENTS_TABLE, ["events-0"]) == {"events-0": at}
    ballast.unlink()
    lake.append(EVENTS_TABLE, some(range(at, at + 10)), {"events-0": (at, at + 10)})
    assert offsets_in(lake) == list(range(at + 10))

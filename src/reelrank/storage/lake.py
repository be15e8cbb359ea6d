"""Lake: events and examples as Delta tables by day, on local disk or wherever deltalake can write."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
from msgspec import Meta

from reelrank.storage.event_log import StorageError
from reelrank.storage.lake_schema import DAY, STATISTICS, TABLES, schema_of

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable, WriterProperties


class LakeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the log is copied to the lake, and how long the lake keeps it."""

    flush_s: Annotated[float, Meta(ge=0)] = 10.0  # a commit comes at the latest so long after the one before, if there is anything new
    flush_rows: Annotated[int, Meta(ge=1)] = 50_000  # and at once when so many records wait; a commit takes no more than these
    retain_days: Annotated[int, Meta(ge=0)] = 0  # days that are older are deleted; 0 = keep everything
    vacuum_hours: Annotated[int, Meta(ge=1)] = 168  # files that no longer belong to a table stay so long for those who still read them
    maintain_s: Annotated[float, Meta(gt=0)] = 3_600.0  # how often days are compacted, old ones deleted, and files vacuumed
    compact_files: Annotated[int, Meta(ge=2)] = 32  # small files that today may have before they become one; a past day is always put together
    target_mb: Annotated[int, Meta(ge=1)] = 128  # of a compacted file
    storage_options: dict[str, str] = {}  # passed through to deltalake, for a lake that is not on disk


class LakeConflict(StorageError):
    """Somebody else has copied these records in the meantime; nothing was written."""


class TableStatus(NamedTuple):
    """A table as it is now. `positions` says how far each topic's partitions are copied."""

    version: int
    rows: int
    files: int
    megabytes: float
    first_day: str
    last_day: str
    days: int
    positions: dict[str, int]


class Lake:
    """The tables below one URL; made when first asked for. Any number of processes may write.

    A commit holds its rows and the *positions* in the log that it moves on, as Delta's application transactions. Two
    commits that move the same position can't both succeed: that is what makes the copy exactly-once.
    """

    def __init__(self, url: str, config: LakeConfig | None = None) -> None:
        self.url = url.rstrip("/")
        self.config = config or LakeConfig()
        self._made: set[str] = set()

    def positions(self, table: str, names: list[str]) -> dict[str, int]:
        """Where the named positions of a table stand, 0 for those that were never moved."""
        with self._reported(table):
            delta = self.open(table)
            return {name: delta.transaction_version(name) or 0 for name in names}

    def append(self, table: str, rows: "pl.DataFrame", moves: Mapping[str, tuple[int, int]]) -> None:
        """Appends rows and moves positions (name -> from, to), all or nothing.

        Raises LakeConflict when one of the positions does not stand where it should, StorageError when it is not
        known whether anything was written: `positions` tells.
        """
        from deltalake import CommitProperties, Transaction, write_deltalake
        from deltalake.exceptions import CommitFailedError

        with self._reported(table):
            delta = self.open(table)
            for name, (before, _) in moves.items():
                if (found := delta.transaction_version(name) or 0) != before:
                    raise LakeConflict(f"position {name} of {self.url}/{table} stands at {found}, not at {before}; somebody else has moved it")
            # against the snapshot that was just looked at: a commit since then that moves one of the positions makes this one fail
            commit = CommitProperties(app_transactions=[Transaction(name, after) for name, (_, after) in moves.items()])
            try:
                write_deltalake(delta, rows, mode="append", commit_properties=commit, writer_properties=_writing())
            except CommitFailedError as problem:
                raise LakeConflict(f"{self.url}/{table} was not written: {problem}") from problem

    def compact(self, today: date) -> int:
        """Puts small files of a day together into large ones; returns how many files went."""
        return sum(self._compact(table, today) for table in TABLES)

    def forget(self, today: date) -> int:
        """Deletes whole days that are older than `retain_days`; returns how many rows went."""
        if not self.config.retain_days:
            return 0
        first = today - timedelta(days=self.config.retain_days)
        gone = 0
        for table in TABLES:
            with self._reported(table):
                gone += int(self.open(table).delete(f"{DAY} < DATE '{first.isoformat()}'").get("num_deleted_rows") or 0)
        return gone

    def vacuum(self) -> int:
        """Removes files that have not belonged to a table for `vacuum_hours`; returns how many."""
        gone = 0
        for table in TABLES:
            with self._reported(table):
                gone += len(self.open(table).vacuum(self.config.vacuum_hours, dry_run=False, enforce_retention_duration=False))
        return gone

    def status(self, table: str, names: list[str]) -> TableStatus:
        """What a table holds, and where the named positions stand."""
        with self._reported(table):
            delta = self.open(table)
            files = _files(delta)
            days = sorted({str(day) for day in files["day"].to_list()})
            return TableStatus(
                version=delta.version(),
                rows=int(files["rows"].sum()),
                files=len(files),
                megabytes=round(float(files["bytes"].sum()) / 1e6, 3),
                first_day=days[0] if days else "",
                last_day=days[-1] if days else "",
                days=len(days),
                positions={name: delta.transaction_version(name) or 0 for name in names},
            )

    def open(self, table: str) -> "DeltaTable":
        """A table as it is now, to read it."""
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError

        place, options = f"{self.url}/{table}", self.config.storage_options
        if table not in self._made:
            keep = {"delta.dataSkippingStatsColumns": ",".join(STATISTICS[table])}
            try:
                DeltaTable.create(place, schema_of(table), mode="ignore", partition_by=[DAY], configuration=keep, storage_options=options)
            except CommitFailedError:
                pass  # another process has just made it
            self._made.add(table)
        return DeltaTable(place, storage_options=options)

    def _compact(self, table: str, today: date) -> int:
        target = self.config.target_mb << 20
        gone = 0
        with self._reported(table):
            files = _files(self.open(table))
            for (day,), group in files.filter(files["bytes"] < target // 4).group_by("day"):
                if len(group) >= (2 if str(day) < today.isoformat() else self.config.compact_files):
                    done = self.open(table).optimize.compact(partition_filters=[(DAY, "=", str(day))], target_size=target, writer_properties=_writing())
                    gone += int(done["numFilesRemoved"])
        return gone

    @contextmanager
    def _reported(self, table: str) -> Generator[None]:
        from deltalake.exceptions import DeltaError

        try:
            yield
        except (DeltaError, OSError) as problem:
            self._made.discard(table)
            raise StorageError(
                f"the table {self.url}/{table} can't be used: {problem}; is the disk full, or the address or its storage_options wrong?"
            ) from problem


def _files(delta: "DeltaTable") -> "pl.DataFrame":
    """The files of a table: day, rows, bytes."""
    import polars as pl

    actions = pl.DataFrame(delta.get_add_actions(flatten=True))
    return actions.select(pl.col(f"partition.{DAY}").alias("day"), pl.col("num_records").alias("rows"), pl.col("size_bytes").alias("bytes"))


def _writing() -> "WriterProperties":
    from deltalake import WriterProperties

    return WriterProperties(compression="ZSTD", compression_level=3)

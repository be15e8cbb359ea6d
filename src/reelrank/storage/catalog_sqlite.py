"""The catalogue in one SQLite file (WAL): readers never wait for the writer."""

import sqlite3
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.event import listen

from reelrank.storage.catalog_sql import SqlCatalog
from reelrank.storage.database import Database

_WAIT_S = 30  # for the writer before


class SqliteDatabase(Database):
    """A Database in the file `path`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = sql.create_engine(f"sqlite:///{path}", connect_args={"timeout": _WAIT_S})
        listen(engine, "connect", _prepare)
        listen(engine, "begin", _begin)
        super().__init__(engine, str(path), away="can't be used (is the disk full, or does another process hold it?)", begin_writing=_at_once)


class SqliteCatalog(SqlCatalog):
    """A Catalog in the file `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(SqliteDatabase(path))


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, as writers from their first line
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: sql.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _at_once(_connection: sql.Connection) -> None:
    """BEGIN IMMEDIATE has waited for the turn."""

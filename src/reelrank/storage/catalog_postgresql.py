"""The catalogue in PostgreSQL: the same tables for any number of machines."""

import time
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sql
from psycopg.abc import PQGen
from sqlalchemy.event import listen
from sqlalchemy.exc import ArgumentError

from reelrank.storage.catalog_sql import SqlCatalog
from reelrank.storage.database import Database
from reelrank.storage.event_log import StorageError

_TURN = sql.text("SELECT pg_advisory_xact_lock(8243106209421422187)")  # "reelrank" as a number: locks of this database have no names
_CONNECT: dict[str, Any] = {  # what the URL says goes before
    "application_name": "reelrank",
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
    # a statement gives up before we stop waiting for it; a writer that stands still in its turn loses it
    "options": "-c statement_timeout=6s -c idle_in_transaction_session_timeout=15s",
}
_ANY = TypeVar("_ANY")


class PostgresqlDatabase(Database):
    """A Database at a URL such as postgresql://user:password@host:5432/name?sslmode=require, as libpq takes it.

    While it is away every call ends with StorageError within about ten seconds, most at once; when it is back the next one works.
    """

    def __init__(self, url: str, answer_s: float = 8.0) -> None:
        try:
            parsed = sql.make_url(url).set(drivername="postgresql+psycopg")
        except (ArgumentError, ValueError):
            raise StorageError("the URL of the catalogue can't be read; write it as postgresql://user:password@host:5432/name") from None
        engine = sql.create_engine(
            parsed,
            connect_args={name: value for name, value in _CONNECT.items() if name not in parsed.query},
            isolation_level="READ COMMITTED",  # a statement after the turn was waited for sees what the writer before has committed
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=15,
            pool_timeout=answer_s,
            pool_recycle=1_800,
        )

        def connect(_dialect: object, _record: object, positional: list[Any], named: dict[str, Any]) -> _Impatient:
            connection = _Impatient.connect(*positional, **named)
            connection.answer_s = answer_s
            return connection

        listen(engine, "do_connect", connect)
        where = parsed.set(drivername="postgresql").render_as_string(hide_password=True)
        super().__init__(engine, where, away="is away (does PostgreSQL run there, and does it let us in?)", begin_writing=_wait_for_turn)


class PostgresqlCatalog(SqlCatalog):
    """A Catalog in the database at `url`."""

    def __init__(self, url: str) -> None:
        super().__init__(PostgresqlDatabase(url))


class _Impatient(psycopg.Connection[Any]):
    """A connection that is given up when the server says nothing: the timeout of a statement helps only while the server can tell the time."""

    answer_s = 8.0

    def wait(self, gen: PQGen[_ANY], interval: float = 0.1, timeout: float | None = None) -> _ANY:
        began = time.monotonic()
        try:
            return super().wait(gen, interval, timeout or self.answer_s)
        except psycopg.OperationalError:
            if time.monotonic() - began < self.answer_s:
                raise
            self.close()
            raise psycopg.OperationalError(f"no answer within {self.answer_s:g} s") from None


def _wait_for_turn(connection: sql.Connection) -> None:
    connection.execute(_TURN)

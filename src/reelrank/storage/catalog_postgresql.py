"""The catalogue in PostgreSQL: the same tables for any number of machines."""

import sqlalchemy as sql

from reelrank.storage.catalog_sql import SqlCatalog
from reelrank.storage.database import Database
from reelrank.storage.postgresql_connection import connect
from reelrank.storage.postgresql_url import PostgresqlUrl, readable, without_secrets

_TURN = sql.text("SELECT pg_advisory_xact_lock(8243106209421422187)")  # "reelrank" as a number: locks of this database have no names


class PostgresqlDatabase(Database):
    """A Database at a URL such as postgresql://user:password@host:5432/name?sslmode=require, as libpq takes it.

    While it is away every call ends with StorageError within about ten seconds, most at once; when it is back the next one works.
    """

    def __init__(self, url: str, answer_s: float = 8.0) -> None:
        parts, address = readable(url), PostgresqlUrl.parsed(url)
        engine = sql.create_engine(
            parts,
            creator=lambda: connect(address, answer_s),
            paramstyle="numeric_dollar",  # PostgreSQL's own: nobody has to translate it
            isolation_level="READ COMMITTED",  # a statement after the turn was waited for sees what the writer before has committed
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=15,
            pool_timeout=answer_s,
            pool_recycle=1_800,
        )
        away = "is away (does PostgreSQL run there, and does it let us in?)"
        super().__init__(engine, without_secrets(parts), away=away, begin_writing=_wait_for_turn)


class PostgresqlCatalog(SqlCatalog):
    """A Catalog in the database at `url`."""

    def __init__(self, url: str) -> None:
        super().__init__(PostgresqlDatabase(url))


def _wait_for_turn(connection: sql.Connection) -> None:
    connection.execute(_TURN)

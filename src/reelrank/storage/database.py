"""Database: the SQL database that holds the catalogue, the API keys and the secret that all replicas share."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import sqlalchemy as sql
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from reelrank.storage import schema
from reelrank.storage.event_log import StorageError


class Database:
    """Transactions over one database; its tables are brought up to this release when it is opened.

    `where` and `away` say in errors which it is and what may be wrong. `begin_writing` makes a transaction wait until it is the only one that writes: what is
    numbered in it (rows, revisions) is then committed in the order of the numbers, and a reader never sees a gap.
    """

    def __init__(self, engine: sql.Engine, where: str, *, away: str, begin_writing: Callable[[sql.Connection], object]) -> None:
        self.where = where
        self._away = away
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self._begin_writing = begin_writing
        try:
            with self.reading() as connection:
                done = schema.is_current(connection, where)
            if not done:
                with self.writing() as connection:  # one of the processes that open it at once does it, the others find it done
                    schema.upgrade(connection, where)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Generator[sql.Connection]:
        """A transaction that only reads. Raises StorageError when the database can't be used."""
        with self._told(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Generator[sql.Connection]:
        """A transaction that writes, one at a time in all processes: committed at the end of the block, or nothing of it."""
        with self._told(), self._writer.begin() as connection:
            self._begin_writing(connection)
            yield connection

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except (DatabaseError, InterfaceError, NoConnection) as problem:
            cause = str(problem.orig if isinstance(problem, DBAPIError) else problem).strip().replace("\n", " ")
            trouble = self._away if isinstance(problem, OperationalError | InterfaceError | NoConnection) else "can't be used"
            raise StorageError(f"the catalogue at {self.where} {trouble}: {cause}") from problem

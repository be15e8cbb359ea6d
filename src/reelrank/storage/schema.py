"""The tables' history: brings a database to this release by the migrations in storage/migrations, whoever made it and when."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sql

from reelrank.storage.event_log import StorageError

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext, MigrationStep

TABLES = sql.MetaData()  # as they are after the last migration (tested)
VERSION = "0003"  # of the last migration; asked for at every start, so that Alembic is only loaded when there is something to do
VERSION_TABLE = "reelrank_version"  # Alembic's own name could be taken: a PostgreSQL database may serve several applications
MIGRATIONS = Path(__file__).parent / "migrations"

_version = sql.table(VERSION_TABLE, sql.column("version_num"))


def is_current(connection: sql.Connection, where: str) -> bool:
    """Whether the tables are those of this release. Raises StorageError if they are of a newer one."""
    found = _found(connection)
    if found is not None and found > VERSION:
        raise StorageError(f"the catalogue at {where} was made by a newer Reelrank (schema {found}, this one knows up to {VERSION}); run that release here too")
    return found == VERSION


def upgrade(connection: sql.Connection, where: str) -> None:
    """Runs the migrations that are missing, inside the caller's transaction. The caller sees to it that nobody else does."""
    if is_current(connection, where):
        return
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"fn": _missing, "version_table": VERSION_TABLE})
    with Operations.context(context):
        context.run_migrations()


def _found(connection: sql.Connection) -> str | None:
    if not sql.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(sql.select(_version.c.version_num)).scalar()


def _missing(heads: tuple[str, ...], _context: "MigrationContext") -> "Iterator[MigrationStep]":
    """The steps from what a database is at to the last migration, the first one first."""
    from alembic.runtime.migration import MigrationStep
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(MIGRATIONS), version_locations=[str(MIGRATIONS)])
    ahead: list[Any] = list(scripts.iterate_revisions(VERSION, heads[0] if heads else "base"))
    for script in reversed(ahead):
        yield MigrationStep.upgrade_from_script(scripts.revision_map, script)

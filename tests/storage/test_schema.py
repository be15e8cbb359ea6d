"""The tables' history: made, adopted, brought up to date, and refused when they are newer than we are."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sql
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from reelrank.benchmarks.local_postgresql import LocalPostgresql
from reelrank.domain.video import Video
from reelrank.storage.catalog_postgresql import PostgresqlDatabase
from reelrank.storage.catalog_sql import SqlCatalog
from reelrank.storage.catalog_sqlite import SqliteCatalog, SqliteDatabase
from reelrank.storage.database import Database
from reelrank.storage.event_log import StorageError
from reelrank.storage.schema import MIGRATIONS, TABLES, VERSION, VERSION_TABLE
from storage.backends import Start

BEFORE_MIGRATIONS = """
CREATE TABLE videos (
    "row" INTEGER NOT NULL, video_id VARCHAR NOT NULL, revision INTEGER NOT NULL, removed BOOLEAN NOT NULL, author_row INTEGER NOT NULL,
    tag_rows JSON NOT NULL, sound_row INTEGER NOT NULL, place_row INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY ("row"), UNIQUE (video_id), UNIQUE (revision)
);
CREATE TABLE names (kind VARCHAR NOT NULL, name VARCHAR NOT NULL, "row" INTEGER NOT NULL, PRIMARY KEY (kind, name), UNIQUE (kind, "row"));
INSERT INTO names VALUES ('author', 'ada', 0);
INSERT INTO videos VALUES (0, 'old', 1, 0, 0, '[]', -1, -1, CAST('{"video_id":"old","author_id":"ada","duration_s":8.0,"uploaded_at":5.0}' AS BLOB));
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = SqliteDatabase(tmp_path / "c.sqlite") if request.param == "sqlite" else PostgresqlDatabase(request.getfixturevalue("postgresql").new_database())
    yield opened
    opened.close()


def test_the_migrations_make_the_tables_that_the_code_works_with(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, TABLES) == []
        assert context.get_current_revision() == VERSION


def test_the_last_migration_is_the_version_asked_for_at_the_start() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS), version_locations=[str(MIGRATIONS)])
    assert scripts.get_heads() == [VERSION]
    assert [(MIGRATIONS / Path(script.path).name).stem[1:5] for script in scripts.walk_revisions()] == [script.revision for script in scripts.walk_revisions()]


def test_a_catalogue_from_before_there_were_migrations_is_adopted_with_what_is_in_it(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "c.sqlite") as old:
        old.executescript(BEFORE_MIGRATIONS)
    old.close()
    for _ in range(2):
        catalog = SqliteCatalog(tmp_path / "c.sqlite")
        row = catalog.get("old")
        assert row is not None
        assert (row.row, row.video.author_id) == (0, "ada")
        assert [row.row for row in catalog.publish([Video(video_id="new", author_id="ada", duration_s=1.0, uploaded_at=1.0)])] == [1]
        catalog.close()


def test_a_catalogue_of_a_newer_release_is_left_alone(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(sql.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(StorageError, match=rf"made by a newer Reelrank \(schema 9999, this one knows up to {VERSION}\); run that release here too"):
        reopened(database)


def test_a_migration_that_fails_leaves_the_database_as_it_was(postgresql: LocalPostgresql) -> None:
    url = postgresql.new_database()
    engine = sql.create_engine(sql.make_url(url).set(drivername="postgresql+pg8000"))
    with engine.begin() as connection:
        connection.execute(sql.text("CREATE TABLE names (theirs integer)"))
    with pytest.raises(StorageError, match=r'can\'t be used: .*"names" already exists'):
        PostgresqlDatabase(url)
    with engine.begin() as connection:
        assert sql.inspect(connection).get_table_names() == ["names"]
        connection.execute(sql.text("DROP TABLE names"))
    engine.dispose()
    PostgresqlDatabase(url).close()


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_processes_that_open_a_new_database_at_once_all_find_it_ready(request: pytest.FixtureRequest, backend: str, start: Start, tmp_path: Path) -> None:
    place = str(tmp_path / "catalog") if backend == "sqlite" else request.getfixturevalue("postgresql").new_database()
    program = """
import sys
from storage.backends import CATALOGS
assert CATALOGS[sys.argv[1]](sys.argv[2]).changes(0) == []
"""
    children = [start(program, backend, place) for _ in range(6)]
    assert [child.wait(60) for child in children] == [0] * 6


def reopened(database: Database) -> SqlCatalog:
    """The catalogue as another process would open it."""
    place = database.where
    if place.startswith("postgresql:"):
        with database.reading() as connection:
            return SqlCatalog(PostgresqlDatabase(connection.engine.url.render_as_string(hide_password=False)))
    return SqlCatalog(SqliteDatabase(Path(place)))

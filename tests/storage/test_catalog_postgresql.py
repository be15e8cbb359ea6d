"""The catalogue on a PostgreSQL that stops, dies, hangs and comes back."""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reelrank.benchmarks.local_postgresql import LocalPostgresql
from reelrank.domain.video import Video
from reelrank.storage.catalog_postgresql import PostgresqlCatalog, PostgresqlDatabase
from reelrank.storage.catalog_sql import SqlCatalog
from reelrank.storage.event_log import StorageError
from storage.backends import Start


def video(video_id: str) -> Video:
    return Video(video_id=video_id, author_id="ada", duration_s=8.0, uploaded_at=5.0)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def ids(catalog: SqlCatalog) -> list[str]:
    return [row.video.video_id for row in catalog.changes(0)]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_was_away_is_used_again_as_soon_as_it_is_back(own_postgresql: LocalPostgresql, how: str) -> None:
    catalog = PostgresqlCatalog(own_postgresql.url)
    catalog.publish([video("before")])
    for round_ in range(3):
        getattr(own_postgresql, how)()
        for _ in range(2):
            with within(4), pytest.raises(StorageError, match=r"the catalogue at postgresql://reelrank:\*\*\*@.* is away \(does PostgreSQL run there"):
                catalog.publish([video("lost")])
        with within(4), pytest.raises(StorageError, match="is away"):
            catalog.changes(0)
        own_postgresql.start()
        assert [row.row for row in catalog.publish([video(f"after {round_}")])] == [round_ + 1]
    assert ids(catalog) == ["before", "after 0", "after 1", "after 2"]
    catalog.close()


def test_a_server_that_hangs_is_given_up_in_time(own_postgresql: LocalPostgresql) -> None:
    catalog = SqlCatalog(PostgresqlDatabase(own_postgresql.url + "?connect_timeout=2", answer_s=1))
    catalog.publish([video("a")])
    own_postgresql.pause()
    try:
        with within(5), pytest.raises(StorageError, match=r"is away .*(no answer within 1 s|timeout)"):
            catalog.publish([video("b")])
    finally:
        own_postgresql.resume()
    catalog.publish([video("c")])
    assert "c" in ids(catalog)
    catalog.close()


def test_a_writer_that_stands_still_does_not_stop_the_others_for_good(own_postgresql: LocalPostgresql) -> None:
    impatient = own_postgresql.url + "?options=-c statement_timeout=500 -c idle_in_transaction_session_timeout=1500"
    catalog, other = PostgresqlDatabase(impatient), SqlCatalog(PostgresqlDatabase(impatient))
    with pytest.raises(StorageError, match=r"idle-in-transaction|closed|terminat"), catalog.writing() as connection:
        with within(2), pytest.raises(StorageError, match="statement timeout"):
            other.publish([video("a")])
        time.sleep(1.5)
        other.publish([video("b")])
        connection.exec_driver_sql("SELECT 1")
    assert ids(other) == ["b"]
    catalog.close()
    other.close()


def test_what_was_published_survives_a_kill_of_the_server_while_processes_publish(own_postgresql: LocalPostgresql, start: Start, tmp_path: Path) -> None:
    program = """
import sys, time
from reelrank.domain.video import Video
from reelrank.storage.catalog_postgresql import PostgresqlCatalog
from reelrank.storage.event_log import StorageError
catalog, number = PostgresqlCatalog(sys.argv[1]), 0
while number < 500:
    name = f"{sys.argv[2]}-{number}"
    try:
        catalog.publish([Video(video_id=name, author_id=name, duration_s=1.0, uploaded_at=1.0)])
    except StorageError:
        time.sleep(0.02)
        continue
    number += 1
    print(name, flush=True)
"""
    PostgresqlCatalog(own_postgresql.url).close()
    children = [start(program, own_postgresql.url, name) for name in "ab"]
    told = [child.stdout.readline().strip() for child in children]  # they are at it
    for _ in range(3):
        time.sleep(0.1)
        own_postgresql.kill()
        own_postgresql.start()
    told += [name for child in children for name in child.stdout.read().split()]
    assert len(told) == 1_000
    catalog = PostgresqlCatalog(own_postgresql.url)
    rows = catalog.changes(0)
    assert sorted(told) == sorted(row.video.video_id for row in rows)
    assert sorted(row.row for row in rows) == list(range(1_000))
    assert sorted(row for row, _ in catalog.names("author")) == list(range(1_000))
    catalog.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://nobody-there.invalid/db", "is away"),
        ("postgresql://reelrank@127.0.0.1:1/db", "is away"),
        ("postgresql://host:port/db", "can't be read; write it as postgresql://"),
    ],
)
def test_a_url_that_leads_nowhere_is_named(url: str, reason: str) -> None:
    with within(10), pytest.raises(StorageError, match=reason):
        PostgresqlCatalog(url)


def test_neither_a_wrong_password_nor_the_right_one_is_shown(own_postgresql: LocalPostgresql) -> None:
    password = own_postgresql.url.split(":")[2].split("@")[0]
    with pytest.raises(StorageError, match=r"is away .*password authentication failed") as wrong:
        PostgresqlCatalog(own_postgresql.url.replace(password, "guessed-wrong"))
    own_postgresql.stop()
    with pytest.raises(StorageError, match="is away") as away:
        PostgresqlCatalog(own_postgresql.url)
    assert "guessed-wrong" not in str(wrong.value)
    assert password not in str(away.value)


def test_it_is_gone_when_its_process_is_gone(start: Start, tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from reelrank.benchmarks.local_postgresql import LocalPostgresql
server = LocalPostgresql(Path(sys.argv[1]))
server.start()
print(server.url, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    child = start(program, tmp_path / "server")
    url = child.communicate(timeout=60)[0].strip()
    deadline = time.monotonic() + 10
    problem = ""
    while "refused" not in problem and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", int(url.split(":")[3].split("/")[0])), 2).close()
        except OSError as refusal:
            problem = str(refusal)
        time.sleep(0.05)
    shutil.rmtree((tmp_path / "server" / "postgresql").resolve())  # what could not be removed by who was killed
    assert "refused" in problem

"""Connections to a real PostgreSQL: with TLS and without, over a Unix socket, and what their errors say."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pg8000 import IntegrityError, OperationalError, ProgrammingError

from reelrank.benchmarks.local_postgresql import LocalPostgresql
from reelrank.storage.postgresql_connection import PostgresqlConnection, connect
from reelrank.storage.postgresql_url import PostgresqlUrl


@contextlib.contextmanager
def connected(url: str) -> Iterator[PostgresqlConnection]:
    connection = connect(PostgresqlUrl.parsed(url), 8.0)
    yield connection
    connection.close()


def one(connection: PostgresqlConnection, query: str) -> object:
    return connection.execute_simple(query).rows[0][0]


def encrypted(url: str) -> object:
    with connected(url) as connection:
        return one(connection, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")


@pytest.fixture
def certificate(own_postgresql: LocalPostgresql, tmp_path: Path) -> Path:
    """The server's own, for localhost; from now on it talks TLS to who wants it."""
    if not shutil.which("openssl"):
        pytest.fail("no openssl to make a certificate with; apt-get install openssl")
    data = (tmp_path / "postgresql" / "postgresql").resolve() / "data"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", data / "server.key", "-out", data / "server.crt"]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("server.key", "server.crt"):
        (data / name).chmod(0o600)
        os.chown(data / name, data.stat().st_uid, data.stat().st_gid)
    with connected(own_postgresql.url) as connection:
        connection.execute_simple("ALTER SYSTEM SET ssl = on")
    own_postgresql.stop()
    own_postgresql.start()
    return Path(shutil.copy(data / "server.crt", tmp_path / "server.crt"))


def test_what_is_said_is_encrypted_and_proven_as_the_url_asks(own_postgresql: LocalPostgresql, certificate: Path) -> None:
    by_number = own_postgresql.url
    by_name = by_number.replace("127.0.0.1", "localhost")
    assert [encrypted(f"{by_number}?sslmode={mode}") for mode in ("disable", "prefer", "require")] == [False, True, True]
    assert encrypted(f"{by_number}?sslmode=verify-ca&sslrootcert={certificate}")
    assert encrypted(f"{by_name}?sslmode=verify-full&sslrootcert={certificate}")
    with pytest.raises(OperationalError, match=r"no connection to 127.0.0.1:\d+: .*certificate is not valid for '127.0.0.1'"):
        encrypted(f"{by_number}?sslmode=verify-full&sslrootcert={certificate}")
    with pytest.raises(OperationalError, match="self-signed certificate"):
        encrypted(f"{by_name}?sslmode=verify-full&sslrootcert=system")


def test_a_server_without_tls_is_refused_only_by_who_asks_for_it(postgresql: LocalPostgresql) -> None:
    assert encrypted(postgresql.url) is False
    with pytest.raises(OperationalError, match="does not offer TLS, which sslmode require asks for"):
        encrypted(postgresql.url + "?sslmode=require")


def test_a_unix_socket_leads_to_the_server_too(postgresql: LocalPostgresql) -> None:
    there = PostgresqlUrl.parsed(postgresql.url)
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{folder}/.s.PGSQL.{there.port}")
        door.listen()

        def relay() -> None:
            inside, _ = door.accept()
            with inside, socket.create_connection((there.host, there.port)) as server:
                back = threading.Thread(target=passed_on, args=(server, inside))
                back.start()
                passed_on(inside, server)
                back.join()

        thread = threading.Thread(target=relay)
        thread.start()
        with connected(f"postgresql://{there.user}:{there.password}@/{there.database}?host={folder}&port={there.port}") as connection:
            assert one(connection, "SELECT current_user") == there.user
        thread.join()


def test_the_server_is_told_who_calls_and_when_to_give_up(postgresql: LocalPostgresql) -> None:
    with connected(postgresql.url) as connection:
        assert [one(connection, f"SHOW {name}") for name in ("application_name", "statement_timeout", "idle_in_transaction_session_timeout")] == [
            "reelrank",
            "6s",
            "15s",
        ]


def test_a_database_that_does_not_exist_is_named(postgresql: LocalPostgresql) -> None:
    with pytest.raises(OperationalError, match='database "nowhere" does not exist'):
        connect(PostgresqlUrl.parsed(postgresql.url.replace("/postgres", "/nowhere")), 8.0)


def test_who_forgot_the_password_is_told(postgresql: LocalPostgresql) -> None:
    password = PostgresqlUrl.parsed(postgresql.url).password
    with pytest.raises(OperationalError, match="asks for a password, the URL has none"):
        connect(PostgresqlUrl.parsed(postgresql.url.replace(f":{password}@", "@")), 8.0)


def test_many_rows_go_out_together_or_not_at_all(postgresql: LocalPostgresql) -> None:
    with connected(postgresql.new_database()) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE numbers (n integer PRIMARY KEY)")
        connection.commit()
        assert cursor.executemany("INSERT INTO numbers VALUES ($1)", [(n,) for n in range(1_700)]).rowcount == 1_700
        connection.commit()
        with pytest.raises(IntegrityError, match="duplicate key"):
            cursor.executemany("INSERT INTO numbers VALUES ($1)", [(n,) for n in range(1_700 + 600, 1_600, -1)])
        connection.rollback()
        assert cursor.execute("SELECT count(*) FROM numbers").fetchone()[0] == 1_700


def test_a_statement_that_fails_leaves_the_connection_usable_and_one_that_lasts_does_not(postgresql: LocalPostgresql) -> None:
    with connected(postgresql.url) as connection:
        with pytest.raises(ProgrammingError, match='"nothing" does not exist'):
            connection.execute_unnamed("SELECT * FROM nothing WHERE n = $1", [1])
        assert one(connection, "SELECT 1") == 1
        connection.wait_at_most(0.2)
        with pytest.raises(OperationalError, match=r"the connection is closed: no answer within 0.2 s"):
            connection.execute_simple("SELECT pg_sleep(1)")
        with pytest.raises(OperationalError, match="the connection is closed"):
            connection.execute_simple("SELECT 1")


def test_who_is_sent_away_is_told_why(postgresql: LocalPostgresql) -> None:
    with connected(postgresql.url) as connection, connected(postgresql.url) as other:
        one(other, f"SELECT pg_terminate_backend({one(connection, 'SELECT pg_backend_pid()')}, 5000)")
        with pytest.raises(OperationalError, match=r"the connection is closed: terminating connection due to administrator command"):
            connection.execute_simple("SELECT 1")


def passed_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(65_536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)

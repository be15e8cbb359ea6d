"""URLs of a PostgreSQL: what they say, what they leave unsaid, and what is refused."""

import getpass
import ssl
from pathlib import Path

import pytest

from reelrank.storage.event_log import StorageError
from reelrank.storage.postgresql_url import PostgresqlUrl, readable, without_secrets


@pytest.fixture(autouse=True)
def nobody_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def test_a_url_says_who_and_where() -> None:
    address = PostgresqlUrl.parsed("postgresql://ada:p%40ss%2Fword@db.example:6000/feeds?application_name=mine&connect_timeout=7")
    assert (address.user, address.password, address.host, address.port, address.database) == ("ada", "p@ss/word", "db.example", 6000, "feeds")
    assert (address.application_name, address.connect_timeout, address.socket_path) == ("mine", 7, None)


def test_what_is_left_out_is_what_libpq_takes() -> None:
    address = PostgresqlUrl.parsed("postgres://db.example")
    assert (address.user, address.database, address.port, address.sslmode) == (getpass.getuser(), getpass.getuser(), 5432, "prefer")


def test_a_host_that_is_a_folder_holds_a_unix_socket_which_needs_no_tls() -> None:
    address = PostgresqlUrl.parsed("postgresql://ada@/feeds?host=/run/pg&port=5433&sslmode=require")
    assert address.socket_path == "/run/pg/.s.PGSQL.5433"
    assert address.tls() is None


@pytest.mark.parametrize(
    ("parameters", "verify", "names"),
    [
        ("", ssl.CERT_NONE, False),
        ("?sslmode=prefer", ssl.CERT_NONE, False),
        ("?sslmode=require", ssl.CERT_NONE, False),
        ("?sslmode=verify-full", ssl.CERT_REQUIRED, True),
        ("?sslmode=verify-full&sslrootcert=system", ssl.CERT_REQUIRED, True),
    ],
)
def test_the_mode_says_what_tls_has_to_prove(parameters: str, verify: ssl.VerifyMode, names: bool) -> None:
    context = PostgresqlUrl.parsed(f"postgresql://ada@db/feeds{parameters}").tls()
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (verify, names)


def test_there_is_no_tls_where_it_is_disabled() -> None:
    assert PostgresqlUrl.parsed("postgresql://ada@db/feeds?sslmode=disable").tls() is None


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ("sslmod=require", r"has a parameter 'sslmod'; known: application_name, connect_timeout, .*sslmode"),
        ("sslmode=allow", r"sslmode 'allow' .* known: disable, prefer, require, verify-ca, verify-full"),
        ("sslmode=verify-ca", r"needs sslrootcert=FILE"),
        ("sslmode=verify-full&sslrootcert=/none.crt", r"certificates .* can't be used \(/none.crt\): .*No such file"),
        ("sslkey=/some.key", r"an sslkey without the sslcert"),
        ("connect_timeout=soon", r"connect_timeout='soon' .* whole number, at least 1"),
        ("connect_timeout=0", r"connect_timeout='0' .* at least 1"),
        ("host=a&host=b", r"names host 2 times"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(parameters: str, reason: str) -> None:
    with pytest.raises(StorageError, match=reason):
        PostgresqlUrl.parsed(f"postgresql://ada:secret@db/feeds?{parameters}")


def test_no_password_is_shown() -> None:
    with pytest.raises(StorageError, match="a parameter 'password'") as refused:
        PostgresqlUrl.parsed("postgresql://ada@db/feeds?password=secret")
    with pytest.raises(StorageError, match="can't be read") as unreadable:
        PostgresqlUrl.parsed("postgresql://ada:secret@db:port/feeds")
    url = "postgresql://ada:secret@/feeds?host=/run/pg&options=-c%20x=secret"
    for text in (str(refused.value), str(unreadable.value), repr(PostgresqlUrl.parsed("postgresql://ada:secret@db/feeds")), without_secrets(readable(url))):
        assert "secret" not in text
    assert without_secrets(readable(url)) == "postgresql://ada:***@/feeds?host=%2Frun%2Fpg"

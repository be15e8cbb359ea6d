"""API keys and shared secrets, over every database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sql

from reelrank.storage.catalog_postgresql import PostgresqlDatabase
from reelrank.storage.catalog_sqlite import SqliteDatabase
from reelrank.storage.database import Database
from reelrank.storage.keys import SCOPES, KeyProblem, Keys, digest_of
from storage.backends import Start

NOW = 1_750_000_000.0


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "c.sqlite") if request.param == "sqlite" else request.getfixturevalue("postgresql").new_database()


@pytest.fixture
def open_database(place: str) -> Iterator[Callable[[], Database]]:
    with ExitStack() as opened:

        def _open() -> Database:
            database = PostgresqlDatabase(place) if place.startswith("postgresql:") else SqliteDatabase(Path(place))
            opened.callback(database.close)
            return database

        yield _open


@pytest.fixture
def keys(open_database: Callable[[], Database]) -> Keys:
    return Keys(open_database())


def test_a_key_is_found_by_the_digest_of_its_secret_alone(keys: Keys, open_database: Callable[[], Database]) -> None:
    made, secret = keys.create("the app", ["feed:read", "events:write", "feed:read"], NOW)
    other, _ = keys.create("the app", ["admin"], NOW + 1)
    assert (made.name, made.scopes, made.created_at, made.used_at, made.revoked_at) == ("the app", ("events:write", "feed:read"), NOW, None, None)
    assert Keys(open_database()).find([digest_of(secret), digest_of("rl_else")]) == {digest_of(secret): made}
    assert keys.all() == [made, other]
    assert [made.allows(scope) for scope in SCOPES] == [True, True, False, False, False, False]
    assert all(other.allows(scope) for scope in SCOPES)


def test_the_secret_is_long_random_and_nowhere_in_the_database(keys: Keys, open_database: Callable[[], Database]) -> None:
    secrets = [keys.create("app", ["admin"], NOW)[1] for _ in range(20)]
    assert len(set(secrets)) == 20
    assert all(secret.startswith("rl_") and len(secret.split("_", 2)[2]) == 43 for secret in secrets)
    with open_database().reading() as connection:
        kept = str(connection.execute(sql.text("SELECT * FROM api_keys")).all())
    assert [secret for secret in secrets if secret in kept or secret[12:] in kept] == []


def test_a_revoked_key_is_not_found_and_stays_in_the_list(keys: Keys) -> None:
    made, secret = keys.create("app", ["admin"], NOW)
    assert keys.revoke(made.key_id, NOW + 5).revoked_at == NOW + 5
    assert keys.find([digest_of(secret)]) == {}
    assert [key.revoked_at for key in keys.all()] == [NOW + 5]
    with pytest.raises(KeyProblem, match=rf"key '{made.key_id}' was revoked before"):
        keys.revoke(made.key_id, NOW + 6)


def test_a_key_is_revoked_by_its_name_if_no_other_is_called_so(keys: Keys) -> None:
    first, _ = keys.create("app", ["admin"], NOW)
    second, _ = keys.create("app", ["admin"], NOW)
    with pytest.raises(KeyProblem, match=rf"2 keys are called 'app'; revoke them by id: ({first.key_id}|{second.key_id}), "):
        keys.revoke("app", NOW)
    keys.revoke(first.key_id, NOW)
    assert keys.revoke("app", NOW).key_id == second.key_id
    with pytest.raises(KeyProblem, match="key 'nobody' does not exist; `reelrank keys list` shows"):
        keys.revoke("nobody", NOW)


@pytest.mark.parametrize(
    ("name", "scopes", "reason"),
    [
        ("app", [], "a key without a scope may do nothing; known: events:write"),
        ("app", ["feed:read", "feed:write"], "there is no scope 'feed:write'; known: events:write, feed:read"),
        ("", ["admin"], "can't be named ''"),
        ("a\x1b[31m", ["admin"], r"can't be named 'a\\x1b\[31m'"),
        ("x" * 129, ["admin"], "up to 128 printable characters"),
    ],
)
def test_what_can_not_be_a_key_is_told(keys: Keys, name: str, scopes: list[str], reason: str) -> None:
    with pytest.raises(KeyProblem, match=reason):
        keys.create(name, scopes, NOW)
    assert keys.all() == []


def test_when_a_key_was_used_is_remembered(keys: Keys) -> None:
    first, _ = keys.create("a", ["admin"], NOW)
    keys.create("b", ["admin"], NOW + 1)
    keys.used([first.key_id], NOW + 60)
    assert [key.used_at for key in keys.all()] == [NOW + 60, None]


def test_a_shared_secret_is_made_once_whoever_asks_first(place: str, start: Start, open_database: Callable[[], Database]) -> None:
    program = """
import sys
from pathlib import Path
from reelrank.storage.catalog_postgresql import PostgresqlDatabase
from reelrank.storage.catalog_sqlite import SqliteDatabase
from reelrank.storage.keys import Keys
place = sys.argv[1]
database = PostgresqlDatabase(place) if place.startswith("postgresql:") else SqliteDatabase(Path(place))
print(Keys(database).shared_secret("deployment", 1.0).hex())
database.close()
"""
    told = {child.communicate(timeout=60)[0].strip() for child in [start(program, place) for _ in range(4)]}
    keys = Keys(open_database())
    assert told == {keys.shared_secret("deployment", 2.0).hex()}
    assert len(keys.shared_secret("deployment", 2.0)) == 32
    assert keys.shared_secret("another", 2.0) != keys.shared_secret("deployment", 2.0)

"""API keys: who may do what, as digests of secrets that nobody keeps; and the secrets that all replicas of a deployment share."""

import hashlib
import secrets
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sql

from reelrank.storage.database import Database
from reelrank.storage.schema import TABLES

ADMIN = "admin"
SCOPES = {
    "events:write": "post events that name a slate which was served to their user",
    "feed:read": "read feeds, videos and their files, and why",
    "videos:write": "publish and remove videos, among the events of a batch",
    "events:import": "post events without a slate, and slates of other policies: what happened elsewhere",
    "rules:write": "see and change business rules, and who changed them",
    ADMIN: "all of these, and the metrics",
}
_PREFIX = "rl_"  # so that scanners of source code find a key that somebody left there
_SECRET_BYTES = 32

_keys = sql.Table(
    "api_keys",
    TABLES,
    sql.Column("key_id", sql.String, primary_key=True),
    sql.Column("name", sql.String, nullable=False),
    sql.Column("scopes", sql.JSON, nullable=False),
    sql.Column("digest", sql.LargeBinary, nullable=False, unique=True),
    sql.Column("created_at", sql.Double, nullable=False),
    sql.Column("used_at", sql.Double),
    sql.Column("revoked_at", sql.Double),
)
_secrets = sql.Table(
    "secrets",
    TABLES,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("value", sql.LargeBinary, nullable=False),
    sql.Column("created_at", sql.Double, nullable=False),
)


class KeyProblem(Exception):
    """A key can't be made or revoked as it was asked for."""


class Key(msgspec.Struct, frozen=True):
    """A key without its secret."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: float
    used_at: float | None = None  # to the minute
    revoked_at: float | None = None

    def allows(self, scope: str) -> bool:
        """Whether this key may do what `scope` stands for."""
        return scope in self.scopes or ADMIN in self.scopes


def digest_of(secret: str) -> bytes:
    """What is kept of a secret, and looked for.

    Plain SHA-256: a slow hash, or one with a salt, makes guessing expensive, and 256 random bits can't be guessed
    anyway. That looking a digest up takes longer or shorter tells nobody anything: they can't choose digests.
    """
    return hashlib.sha256(secret.encode()).digest()


class Keys:
    """The keys of a deployment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, scopes: Sequence[str], now: float) -> tuple[Key, str]:
        """A new key, and its secret, which can't be had again. Raises KeyProblem."""
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise KeyProblem(f"{f'there is no scope {unknown[0]!r}' if unknown else 'a key without a scope may do nothing'}; known: {', '.join(SCOPES)}")
        if not name or len(name) > 128 or not name.isprintable():
            raise KeyProblem(f"a key can't be named {name!r}; choose up to 128 printable characters that tell who uses it")
        key = Key(secrets.token_hex(4), name, tuple(scope for scope in SCOPES if scope in scopes), now)
        secret = f"{_PREFIX}{key.key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        with self._database.writing() as connection:
            connection.execute(_keys.insert().values(**msgspec.structs.asdict(key), digest=digest_of(secret)))
        return key, secret

    def find(self, digests: Collection[bytes]) -> dict[bytes, Key]:
        """The keys with these digests, without those that were revoked."""
        query = _keys.select().where(_keys.c.digest.in_(list(digests)), _keys.c.revoked_at.is_(None))
        with self._database.reading() as connection:
            return {bytes(row.digest): _loaded(row) for row in connection.execute(query)}

    def all(self) -> list[Key]:
        """Every key there has been, the oldest first."""
        with self._database.reading() as connection:
            return [_loaded(row) for row in connection.execute(_keys.select().order_by(_keys.c.created_at, _keys.c.key_id))]

    def revoke(self, which: str, now: float) -> Key:
        """Ends a key for good, named by its id or, if only one is called so, its name. Raises KeyProblem."""
        with self._database.writing() as connection:
            matching = [_loaded(row) for row in connection.execute(_keys.select().where((_keys.c.key_id == which) | (_keys.c.name == which)))]
            live = [key for key in matching if key.revoked_at is None]
            if not live:
                raise KeyProblem(f"key {which!r} {'was revoked before' if matching else 'does not exist'}; `reelrank keys list` shows the keys there are")
            if len(live) > 1:
                raise KeyProblem(f"{len(live)} keys are called {which!r}; revoke them by id: {', '.join(key.key_id for key in live)}")
            connection.execute(_keys.update().where(_keys.c.key_id == live[0].key_id).values(revoked_at=now))
        return msgspec.structs.replace(live[0], revoked_at=now)

    def used(self, key_ids: Iterable[str], now: float) -> None:
        """Remembers that keys were used."""
        with self._database.writing() as connection:
            connection.execute(_keys.update().where(_keys.c.key_id.in_(list(key_ids))).values(used_at=now))

    def shared_secret(self, name: str, now: float) -> bytes:
        """A secret of the deployment: made by whoever asks first, and the same for everybody from then on."""
        wanted = sql.select(_secrets.c.value).where(_secrets.c.name == name)
        with self._database.reading() as connection:
            found = connection.execute(wanted).scalar()
        if found is None:
            with self._database.writing() as connection:
                found = connection.execute(wanted).scalar()
                if found is None:
                    found = secrets.token_bytes(_SECRET_BYTES)
                    connection.execute(_secrets.insert().values(name=name, value=found, created_at=now))
        return bytes(found)


def _loaded(row: sql.Row[Any]) -> Key:
    return Key(row.key_id, row.name, tuple(row.scopes), row.created_at, row.used_at, row.revoked_at)

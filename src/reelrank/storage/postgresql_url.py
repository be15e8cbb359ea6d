"""PostgresqlUrl: where a PostgreSQL is and how it wants to be talked to, read from a URL as libpq takes it."""

import getpass
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError

from reelrank.storage.event_log import StorageError

_HOW = "write it as postgresql://user:password@host:5432/name"
_SSL_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
_TEXTS = ("application_name", "host", "options", "sslcert", "sslkey", "sslmode", "sslrootcert")
_NUMBERS = {  # and the least that makes sense; a connection without a time limit would hang with its server
    "connect_timeout": 1,
    "keepalives": 0,
    "keepalives_count": 1,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "port": 1,
    "tcp_user_timeout": 0,
}
_SOCKET_FOLDERS = ("/var/run/postgresql", "/tmp")  # where Debian's servers listen, and everybody else's


@dataclass(frozen=True)
class PostgresqlUrl:
    """What a URL such as postgresql://user:password@host:5432/name?sslmode=require says, with what it leaves unsaid.

    `host` that starts with / is the folder of a Unix socket. A statement gives up before its client stops waiting for it;
    a writer that stands still in its turn loses it: `options` says that to the server.
    """

    user: str
    password: str | None = field(repr=False)
    host: str
    port: int
    database: str
    sslmode: str = "prefer"
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    application_name: str = "reelrank"
    options: str = "-c statement_timeout=6s -c idle_in_transaction_session_timeout=15s"
    connect_timeout: int = 3
    keepalives: int = 1
    keepalives_idle: int = 5
    keepalives_interval: int = 2
    keepalives_count: int = 3
    tcp_user_timeout: int = 8_000  # ms

    @classmethod
    def parsed(cls, url: str) -> "PostgresqlUrl":
        """Raises StorageError, without the password, if `url` can't be read or asks for what is not known."""
        parts = readable(url)
        said: dict[str, Any] = {name: _parameter(name, value) for name, value in parts.query.items()}
        port = said.pop("port", parts.port or 5432)
        host = said.pop("host", parts.host or _nearest(port))
        user = parts.username or getpass.getuser()
        address = cls(user=user, password=parts.password, host=host, port=port, database=parts.database or user, **said)
        if address.sslmode not in _SSL_MODES:
            raise StorageError(f"sslmode {address.sslmode!r} in the URL of the catalogue is not known; known: {', '.join(_SSL_MODES)}")
        if address.sslkey and not address.sslcert:
            raise StorageError("the URL of the catalogue has an sslkey without the sslcert that it belongs to")
        address.tls()
        return address

    @property
    def socket_path(self) -> str | None:
        """The Unix socket, if it is one."""
        return f"{self.host}/.s.PGSQL.{self.port}" if self.host.startswith("/") else None

    def tls(self) -> ssl.SSLContext | None:
        """What TLS has to prove; nothing where there is none. Read anew for each connection: certificates are renewed while we run."""
        if self.sslmode == "disable" or self.socket_path:
            return None
        roots = self.sslrootcert or _own_roots()
        verified = self.sslmode.startswith("verify") or (self.sslmode == "require" and roots is not None)  # as libpq does
        if self.sslmode == "verify-ca" and roots in {None, "system"}:
            raise StorageError("sslmode verify-ca in the URL of the catalogue needs sslrootcert=FILE: anybody has a certificate from a public authority")
        try:
            context = ssl.create_default_context(cafile=None if roots == "system" else roots)
            context.check_hostname = self.sslmode == "verify-full" or roots == "system"
            context.verify_mode = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
            if self.sslcert:
                context.load_cert_chain(self.sslcert, self.sslkey, password=_no_passphrase)
        except (OSError, ValueError) as problem:
            files = ", ".join(str(path) for path in (roots, self.sslcert, self.sslkey) if path)
            raise StorageError(f"the certificates that the URL of the catalogue names can't be used ({files}): {problem}") from None
        return context


def readable(url: str) -> sql.URL:
    """`url` in its parts. Raises StorageError."""
    try:
        return sql.make_url(url).set(drivername="postgresql+pg8000")
    except (ArgumentError, ValueError):
        raise StorageError(f"the URL of the catalogue can't be read; {_HOW}") from None


def without_secrets(parts: sql.URL) -> str:
    """As it may be shown: what comes after the question mark is nobody's business but the host's."""
    shown = {name: value for name, value in parts.query.items() if name in {"host", "port"}}
    return parts.set(drivername="postgresql", query=shown).render_as_string(hide_password=True)


def _parameter(name: str, value: str | tuple[str, ...]) -> str | int:
    if name not in _TEXTS and name not in _NUMBERS:
        raise StorageError(f"the URL of the catalogue has a parameter {name!r}; known: {', '.join(sorted((*_TEXTS, *_NUMBERS)))}; {_HOW}")
    if not isinstance(value, str):
        raise StorageError(f"the URL of the catalogue names {name} {len(value)} times; once is enough")
    if name in _TEXTS:
        return value
    if not value.isdecimal() or int(value) < _NUMBERS[name]:
        raise StorageError(f"{name}={value!r} in the URL of the catalogue has to be a whole number, at least {_NUMBERS[name]}")
    return int(value)


def _nearest(port: int) -> str:
    """Where a server listens when the URL does not say it."""
    return next((folder for folder in _SOCKET_FOLDERS if Path(folder, f".s.PGSQL.{port}").is_socket()), "localhost")


def _own_roots() -> str | None:
    """The authorities that PostgreSQL's own programs trust without being told."""
    path = Path.home() / ".postgresql" / "root.crt"
    return str(path) if path.is_file() else None


def _no_passphrase() -> str:
    """Instead of asking for it on the terminal."""
    raise ValueError("the key has a passphrase; it has to be one without")

"""LocalPostgresql: a PostgreSQL of one's own on loopback, for tests and measurements."""

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pg8000 import OperationalError

from reelrank.benchmarks.local_server import LocalServer, ServerMissing, free_port
from reelrank.storage.postgresql_connection import PostgresqlConnection, connect
from reelrank.storage.postgresql_url import PostgresqlUrl

_USER = "reelrank"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "log_min_messages": "warning",
}
_READY_S = 30.0


class LocalPostgresql(LocalServer):
    """A server with its data below `folder`; `start` after `stop` or `kill` goes on with the same data at the same port.

    PostgreSQL refuses to run as root: then it runs as `postgres` or `nobody`, whose data can't lie below a folder
    that only root may enter; it lies in a folder of the system's own for temporary files and is removed at the end.
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__(folder / "postgresql.log", gently=signal.SIGINT)  # whoever is connected is disconnected
        self._programs = _programs()
        self._folder = folder
        self._port = port or free_port()
        self._password = secrets.token_urlsafe(12)
        self._account = _account()
        self._home: Path | None = None

    @property
    def url(self) -> str:
        """Of a database in it, as it goes into the configuration."""
        return self._url("postgres")

    def new_database(self) -> str:
        """The URL of a database that nobody has used yet."""
        name = f"test_{secrets.token_hex(6)}"
        with self._connected(_READY_S) as connection:
            connection.execute_simple(f"CREATE DATABASE {name} STRATEGY wal_log")
        return self._url(name)

    def start(self) -> None:
        """Starts the server, on what is there, and returns when it answers."""
        data = self._prepared()
        options = [option for name, value in _SETTINGS.items() for option in ("-c", f"{name}={value}")]
        deadline = time.monotonic() + _READY_S
        while True:
            if not self.runs:  # after a kill its memory may still be held by those who have not noticed yet
                self.launch([*self._as_account(), self._programs / "postgres", "-D", data, "-p", str(self._port), *options])
            if self._answers():
                return
            if time.monotonic() > deadline:
                self.kill()
                raise self.failed(f"PostgreSQL did not come up within {_READY_S:g} s")
            time.sleep(0.05)

    def close(self) -> None:
        """Stops it and removes what does not lie in its folder."""
        self.stop()
        if self._home is not None and self._home.is_symlink():
            shutil.rmtree(self._home.resolve(), ignore_errors=True)
            self._home.unlink()

    def __enter__(self) -> "LocalPostgresql":
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _url(self, database: str) -> str:
        return f"postgresql://{_USER}:{self._password}@127.0.0.1:{self._port}/{database}"

    def _prepared(self) -> Path:
        """The folder of the data, made at the first start."""
        if self._home is not None:
            return self._home.resolve() / "data"
        self._folder.mkdir(parents=True, exist_ok=True)
        home = self._home = self._folder / "postgresql"
        if self._account is None:
            home.mkdir(mode=0o700)
        else:
            home.symlink_to(tempfile.mkdtemp(prefix="reelrank-postgresql-"))
        password = home / "password"
        password.write_text(self._password)
        if self._account is not None:
            for path in (home, password):
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        command = [*self._as_account(), self._programs / "initdb", "-D", home.resolve() / "data", "-U", _USER, "--pwfile", password.resolve()]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        with self._log_file.open("ab") as log:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
        if done.returncode != 0:
            raise self.failed("initdb failed")
        return home.resolve() / "data"

    def _as_account(self) -> list[str]:
        """What makes a program run as an account that may, and end with us however we end (elsewhere than on Linux only the first)."""
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            if self._account is not None:
                raise ServerMissing("PostgreSQL does not run as root, and there is no setpriv to run it as another account; apt-get install util-linux")
            return []
        as_other = [] if self._account is None else [f"--reuid={self._account.pw_uid}", f"--regid={self._account.pw_gid}", "--clear-groups"]
        return [setpriv, *as_other, "--pdeathsig=QUIT", "--"]

    def _answers(self) -> bool:
        try:
            self._connected(2).close()
        except OperationalError:
            return False
        return True

    def _connected(self, answer_s: float) -> PostgresqlConnection:
        return connect(PostgresqlUrl.parsed(f"{self.url}?options=&connect_timeout=2"), answer_s)

    def _signal(self, number: signal.Signals) -> None:
        """To the server and to each of its processes: they do not share a group."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            os.kill(pid, number)


def _programs() -> Path:
    """Where `postgres` and `initdb` are; the newest, if there are several."""
    found = shutil.which("postgres")
    if found:
        return Path(found).parent
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if not installed:
        raise ServerMissing("no PostgreSQL on this machine; scripts/install-servers gets it, or: apt-get install postgresql")
    return max(installed, key=lambda path: [int(number) for number in re.findall(r"\d+", path.parent.name)])


def _account() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as; nobody else than us, unless we are root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    accounts = {one.pw_name: one for one in pwd.getpwall()}
    return accounts.get("postgres") or accounts["nobody"]

"""Runs the roles (serve, stream, lake, index, train) as processes, as many of each as configured, and restarts the ones that die."""

import ctypes
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from reelrank.config import RolesConfig, Settings, as_environment

logger = logging.getLogger(__name__)

COMMANDS = {  # in the order in which they start; they stop the other way round, the feed first
    "stream": ("stream",),
    "counters": ("stream", "--only", "counters"),
    "lake": ("lake",),
    "index": ("index",),
    "train": ("train",),
    "serve": ("serve",),
}
AWAY = 75  # what a process ends with when a store that it needs is away: nothing is wrong with itself
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _AWAY_PAUSE_S, _HEALTHY_S = 0.05, 5.0, 0.5, 2.0
_LONGEST_LOG_BYTES, _PIECE_BYTES, _LOGS_EVERY_S = 16 << 20, 1 << 16, 1.0
_GRACE_S = 10.0  # to finish what is under way when asked to stop
_PR_SET_PDEATHSIG = 1


class RoleFailed(Exception):
    """A role could not be brought up; the message ends with the last lines of its log."""


class _Role:
    """One process that is kept alive: restarted at once, with growing pauses while it dies young.

    One that ends because a store is away is tried again soon: whenever the store comes back.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.restarts = 0
        self.log_file = Path(settings.data_dir) / "logs" / f"{name}.log"
        self._environment = {**os.environ, **as_environment(settings), "REELRANK_SUPERVISED": str(os.getpid())}
        self._pause_s = _FIRST_PAUSE_S
        self._start_at = 0.0
        self.process = self._start()

    def tend(self) -> None:
        """Starts the process again if it has died."""
        if self.process.poll() is None:
            if time.monotonic() - self._started_at > _HEALTHY_S:
                self._pause_s = _FIRST_PAUSE_S
            return
        if self._start_at == 0.0:
            self._start_at = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, _AWAY_PAUSE_S if self.waits else _LONGEST_PAUSE_S)
        if time.monotonic() >= self._start_at:
            self._start_at = 0.0
            try:
                self.process = self._start()
            except OSError as problem:  # no memory, no room for its log: it may be there the next time, and the other roles need us
                logger.error("%s can't be started and is tried again: %s", self.name, problem)
                return
            self.restarts += 1

    def shorten_log(self) -> None:
        """Moves what a long log holds to `.log.1`, in place of what was there.

        The process goes on writing through the descriptor that it was given, so the file is copied and emptied, not renamed:
        only what it writes between the last piece and that is lost, some milliseconds on a busy machine.
        """
        with suppress(OSError):  # no room for a copy, or somebody took the log away: there is a next time
            if self.log_file.stat().st_size > _LONGEST_LOG_BYTES:
                with self.log_file.open("rb+", buffering=0) as log, Path(f"{self.log_file}.1").open("wb", buffering=0) as old:
                    while piece := log.read(_PIECE_BYTES):
                        old.write(piece)
                    log.truncate(0)

    @property
    def waits(self) -> bool:
        """Whether it has ended because a store is away."""
        return self.process.poll() == AWAY

    def last_lines(self, count: int = 12) -> str:
        """The end of this role's log."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-count:])

    def _start(self) -> subprocess.Popen[bytes]:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self._started_at = time.monotonic()
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "reelrank.cli", *COMMANDS[role_of(self.name)]],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


class Supervisor:
    """The roles of one machine. Use `running`, or `start` and `stop`.

    `roles` names its processes: of several with one role the second is `stream-2`. Without it they are as `settings` have them.
    """

    def __init__(self, settings: Settings, roles: Sequence[str] | None = None) -> None:
        self.settings = settings
        host = settings.serving.host
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{settings.serving.port}"
        self.names = tuple(processes(settings.roles) if roles is None else roles)
        self._roles: dict[str, _Role] = {}
        self._stopping = threading.Event()
        self._tending = threading.Thread(target=self._tend, name="supervisor", daemon=True)

    def start(self, ready_within_s: float = 180.0) -> None:
        """Starts every role and returns when the feed answers. Raises RoleFailed if it does not, or if somebody else holds its port."""
        if "serve" in self.names:
            self._refuse_taken_port()  # else whoever answers there would pass for our feed
        try:
            self._roles = {name: _Role(name, self.settings) for name in self.names}
        except OSError as problem:
            raise _unwritable(self.settings.data_dir, problem) from None
        self._tending.start()
        if "serve" in self._roles:
            self._wait_ready(ready_within_s)

    def pid(self, role: str) -> int:
        """The process of this name right now."""
        return self._roles[role].process.pid

    def kill(self, role: str) -> None:
        """Kills a role with SIGKILL, as a crash would; it comes back."""
        self._roles[role].process.kill()

    def restarts(self, role: str) -> int:
        """How often a role had to be started again."""
        return self._roles[role].restarts

    def last_lines(self, role: str) -> str:
        """The end of a process's log."""
        return self._roles[role].last_lines()

    def stop(self) -> None:
        """Stops every role, the feed first; what does not stop in time is killed."""
        self._stopping.set()
        if self._tending.is_alive():
            self._tending.join()
        for role in reversed(self._roles.values()):
            role.process.terminate()
        deadline = time.monotonic() + _GRACE_S
        for role in self._roles.values():
            try:
                role.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                role.process.kill()
                role.process.wait()

    def _refuse_taken_port(self) -> None:
        host, port = self.settings.serving.host, self.settings.serving.port
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as problem:
                raise RoleFailed(f"can't listen on {host}:{port}: {problem.strerror}; end what listens there, or choose another port (--port)") from None

    def _tend(self) -> None:
        logs_at = time.monotonic()
        while not self._stopping.wait(0.02):
            for role in self._roles.values():
                role.tend()
            if time.monotonic() >= logs_at:
                logs_at = time.monotonic() + _LOGS_EVERY_S
                for role in self._roles.values():
                    role.shorten_log()

    def _wait_ready(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            serve = self._roles["serve"]
            if serve.restarts > 2 and not serve.waits:
                break
            if is_ready(self.url):
                return
            time.sleep(0.05)
        problem = "\n".join(f"--- {role.log_file}\n{role.last_lines()}" for role in self._roles.values())
        self.stop()
        raise RoleFailed(f"the feed at {self.url} did not come up within {within_s:.0f} s\n{problem}")


def processes(roles: RolesConfig) -> list[str]:
    """The names of the processes that play these roles, in the order in which they start."""
    return [role if number == 1 else f"{role}-{number}" for role in COMMANDS for number in range(1, getattr(roles, role) + 1)]


def role_of(process: str) -> str:
    """The role that a process of this name plays."""
    role, dash, number = process.partition("-")
    if role not in COMMANDS or (dash and not number.isdecimal()):
        raise RoleFailed(f"no role {process!r}; known: {', '.join(COMMANDS)}, and of a second process {role if role in COMMANDS else 'stream'}-2")
    return role


@contextmanager
def running(settings: Settings, roles: Sequence[str] | None = None) -> Iterator[Supervisor]:
    """The roles of one machine, up and ready inside the block, stopped after it."""
    supervisor = Supervisor(settings, roles)
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()


@contextmanager
def alone_on(folder: Path) -> Iterator[None]:
    """Holds a data folder for this process; raises RoleFailed that names the one that has it. The kernel lets go when a holder ends, however it does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "up.lock").open("a+")
    except OSError as problem:
        raise _unwritable(folder, problem) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise RoleFailed(f"the data folder {folder} is in use by process {lock.read()}; end that, or choose another folder (--data-dir)") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _unwritable(folder: str | Path, problem: OSError) -> RoleFailed:
    return RoleFailed(f"can't start in the data folder {folder}: {problem}; choose one that can be written to")


def is_ready(url: str, timeout_s: float = 2.0) -> bool:
    """Whether the feed at `url` says that it is ready."""
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=timeout_s) as answer:
            return answer.status == 200
    except OSError:
        return False


def die_with_supervisor() -> None:
    """Inside a role: be stopped by the kernel when the supervisor is gone, however it went (Linux; elsewhere nothing)."""
    supervisor = os.environ.get("REELRANK_SUPERVISED")
    if supervisor is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(supervisor):  # it went before we asked
        sys.exit(0)


def stop_signal() -> threading.Event:
    """Inside a role: an event that is set when somebody asks the process to stop."""
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopping

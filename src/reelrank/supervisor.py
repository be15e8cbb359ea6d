"""Runs the roles (serve, stream, lake, index, train) as processes, as many of each as configured, with HAProxy before several replicas; restarts what dies."""

import ctypes
import fcntl
import logging
import os
import shutil
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
from reelrank.serving.haproxy import ProxyMissing, Replica, find_haproxy, haproxy_config, stats_socket_in

logger = logging.getLogger(__name__)

COMMANDS = {  # in the order in which they start; they stop the other way round, the feed first
    "stream": ("stream",),
    "counters": ("stream", "--only", "counters"),
    "lake": ("lake",),
    "index": ("index",),
    "train": ("train",),
    "serve": ("serve",),
}
PROXY = "haproxy"  # the process in front of several replicas
AWAY = 75  # what a process ends with when a store that it needs is away: nothing is wrong with itself
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _AWAY_PAUSE_S, _HEALTHY_S = 0.05, 5.0, 0.5, 2.0
_LONGEST_LOG_BYTES, _PIECE_BYTES, _LOGS_EVERY_S = 16 << 20, 1 << 16, 1.0
_GRACE_S = 10.0  # to finish what is under way when asked to stop
_PR_SET_PDEATHSIG = 1
_SEEN_S = 1.5  # until HAProxy has noticed that a replica is back

# A replica has one core: threads of its own that wait for each other, and pages that are given back and faulted in again, only cost time.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
SERVING = {**_ONE_THREAD, "MALLOC_ARENA_MAX": "2", **dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(1 << 30))}


class RoleFailed(Exception):
    """A role could not be brought up; the message ends with the last lines of its log."""


class _Role:
    """One process that is kept alive: restarted at once, with growing pauses while it dies young.

    One that ends because a store is away is tried again soon: whenever the store comes back.
    """

    def __init__(self, name: str, settings: Settings, command: Sequence[str], *, gently: signal.Signals = signal.SIGTERM) -> None:
        """`gently` is the signal that ends it at once and in good order."""
        self.name = name
        self.gently = gently
        self.restarts = 0
        self._command = command
        self.log_file = Path(settings.data_dir) / "logs" / f"{name}.log"
        lean = SERVING if name.partition("-")[0] == "serve" else {}
        self._environment = {**lean, **os.environ, **as_environment(settings), "REELRANK_SUPERVISED": str(os.getpid())}
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
                self._command,
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
        self.url = _url(settings.serving.host, settings.serving.port)
        names = tuple(processes(settings.roles) if roles is None else roles)
        self.replicas = replicas_of(settings, [name for name in names if role_of(name) == "serve"])
        self.names = (*names, PROXY) if len(self.replicas) > 1 else names
        self._roles: dict[str, _Role] = {}
        self._stopping = threading.Event()
        self._tending = threading.Thread(target=self._tend, name="supervisor", daemon=True)

    def start(self, ready_within_s: float = 180.0) -> None:
        """Starts every role and returns when the feed answers. Raises RoleFailed if it does not, or if somebody else holds its port."""
        self._refuse_taken_ports()  # else whoever answers there would pass for our feed
        try:
            if PROXY in self.names:
                find_haproxy()  # before anything runs
            for name in self.names:
                self._roles[name] = self._started(name)
        except ProxyMissing as problem:
            raise RoleFailed(str(problem)) from None
        except OSError as problem:
            self.stop()
            raise _unwritable(self.settings.data_dir, problem) from None
        self._tending.start()
        if self.replicas:
            self._wait_ready(ready_within_s)

    @property
    def replica_urls(self) -> list[str]:
        """Where each replica answers by itself."""
        return [_url(one.host, one.port) for one in self.replicas]

    def pid(self, role: str) -> int:
        """The process of this name right now."""
        return self._roles[role].process.pid

    def kill(self, role: str) -> None:
        """Kills a role with SIGKILL, as a crash would; it comes back."""
        self._roles[role].process.kill()

    def restart_replicas(self, ready_within_s: float = 180.0, stopping: threading.Event | None = None) -> None:
        """Ends the replicas and starts them again, one after the other, each once the one before is ready: somebody always answers.

        Breaks off where it is when `stopping` is set. Raises RoleFailed when one does not come back; the others are left as they are.
        """
        stopping = stopping or threading.Event()
        patience_s = self.settings.serving.drain_s + self.settings.serving.shutdown_s + _GRACE_S
        for replica in self.replicas:
            self._wait_all_ready(replica, ready_within_s, stopping)
            if stopping.wait(_SEEN_S) or self._stopping.is_set():
                return
            role = self._roles[replica.name]
            before, began = role.process, time.monotonic()
            before.terminate()
            while role.process is before and not (stopping.wait(0.02) or self._stopping.is_set()):
                if time.monotonic() - began > patience_s and before.poll() is None:
                    before.kill()
            self._wait_all_ready(replica, ready_within_s, stopping)

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
            role.process.send_signal(role.gently)
        deadline = time.monotonic() + _GRACE_S
        for role in self._roles.values():
            try:
                role.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                role.process.kill()
                role.process.wait()

    def _wait_all_ready(self, about: Replica, within_s: float, stopping: threading.Event) -> None:
        """Returns once every replica is ready, or everything ends."""
        deadline = time.monotonic() + within_s
        while not (stopping.is_set() or self._stopping.is_set() or all(map(is_ready, self.replica_urls))):
            if time.monotonic() > deadline:
                last = self.last_lines(about.name)
                raise RoleFailed(f"while {about.name} was restarted not every replica was ready for {within_s:.0f} s; the end of its log:\n{last}")
            time.sleep(0.05)

    def _started(self, name: str) -> _Role:
        if name == PROXY:
            return _Role(name, self.settings, self._proxy_command(), gently=signal.SIGUSR1)
        command = [sys.executable, "-m", "reelrank.cli", *COMMANDS[role_of(name)]]
        if role_of(name) != "serve":
            return _Role(name, self.settings, command)
        if len(self.replicas) > 1:
            host, port = next((one.host, one.port) for one in self.replicas if one.name == name)
            command += ["--at", f"{host}:{port}"]
        return _Role(name, self.settings, command, gently=signal.SIGINT)  # when all end there is no other replica to go to first

    def _proxy_command(self) -> list[str]:
        """HAProxy with a configuration of its own, that ends with us however we end (Linux)."""
        program, folder, serving = find_haproxy(), Path(self.settings.data_dir), self.settings.serving
        folder.mkdir(parents=True, exist_ok=True)
        written = folder / "haproxy.cfg"
        written.write_text(haproxy_config((serving.host, serving.port), self.replicas, serving, stats_socket_in(folder)))
        bound = shutil.which("setpriv")
        return [*([bound, "--pdeathsig=TERM", "--"] if bound else []), program, "-db", "-f", str(written.absolute())]

    def _refuse_taken_ports(self) -> None:
        if not self.replicas:
            return
        public = (self.settings.serving.host, self.settings.serving.port)
        for host, port in dict.fromkeys([public, *((one.host, one.port) for one in self.replicas)]):
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError as problem:
                    way_out = "end what listens there, or choose another port (--port)"
                    raise RoleFailed(f"can't listen on {host}:{port}: {problem.strerror}; {way_out}") from None

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
        replicas = [self._roles[one.name] for one in self.replicas]
        urls = [self.url, *self.replica_urls]
        while time.monotonic() < deadline:
            if any(role.restarts > 2 and not role.waits for role in (*replicas, *([self._roles[PROXY]] if PROXY in self._roles else []))):
                break
            if all(map(is_ready, urls)):
                return
            time.sleep(0.05)
        problem = "\n".join(f"--- {role.log_file}\n{role.last_lines()}" for role in self._roles.values())
        self.stop()
        raise RoleFailed(f"the feed at {self.url} did not come up within {within_s:.0f} s\n{problem}")


def processes(roles: RolesConfig) -> list[str]:
    """The names of the processes that play these roles, in the order in which they start."""
    return [role if number == 1 else f"{role}-{number}" for role in COMMANDS for number in range(1, getattr(roles, role) + 1)]


def replicas_of(settings: Settings, names: Sequence[str]) -> list[Replica]:
    """Where each of the replicas of one machine listens: one has the public address, several have their own on loopback. Raises RoleFailed."""
    serving = settings.serving
    if len(names) < 2:
        return [Replica(name, serving.host, serving.port) for name in names]
    first = serving.replica_port or serving.port + 1
    if serving.port == 0 or first + len(names) > 65_536 or first <= serving.port < first + len(names):
        asked = f"{len(names)} replicas from port {first} on, behind port {serving.port}"
        raise RoleFailed(f"there is no room for {asked}; set serving.port and serving.replica_port so that the ports differ and are there")
    return [Replica(name, "127.0.0.1", first + place) for place, name in enumerate(names)]


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


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


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


def restart_signal() -> threading.Event:
    """Inside the supervisor: an event that is set when somebody asks for new replicas, by SIGUSR1 or SIGHUP.

    At a terminal SIGHUP means that it was closed, and is left alone.
    """
    restarting = threading.Event()

    def restart(_signal: int, _frame: FrameType | None) -> None:
        restarting.set()

    signal.signal(signal.SIGUSR1, restart)
    if not sys.stdin.isatty():
        signal.signal(signal.SIGHUP, restart)
    return restarting


def held_by(folder: Path) -> int | None:
    """The process that has a data folder, as `alone_on` holds it; None if nobody does."""
    try:
        with (folder / "up.lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0) or None
    except FileNotFoundError:
        pass
    return None

"""An Apache Kafka broker on loopback, found at $KAFKA_HOME or beside the checkout."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from reelrank.benchmarks.local_server import ServerMissing, free_ports

_STARTED_WITHIN_S = 60.0
_STOPPED_WITHIN_S = 30.0

# Starts the broker and stays with it: when the pipe to whoever started it closes, for whatever reason, the broker goes too.
_GUARD = """
"$1/bin/kafka" start 2>&1 || exit 1
echo started
read -r _ || true
pid=$(cat "$KAFKA_DATA/broker.pid" 2>/dev/null) || exit 0
grep -qs "$KAFKA_DATA" "/proc/$pid/cmdline" && kill -9 "$pid"
"""


class LocalKafka:
    """One broker with its data in `folder`; records are on disk before they are acknowledged."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        free, self._controller_port = free_ports(2)
        self.port = port or free
        self._guard: subprocess.Popen[str] | None = None

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"kafka:{self.servers}"

    def start(self) -> None:
        if self._guard is not None:
            return
        home = kafka_home()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "broker.pid").unlink(missing_ok=True)  # of a broker that was killed; its number may be somebody else's by now
        ports = {"KAFKA_PORT": str(self.port), "KAFKA_CONTROLLER_PORT": str(self._controller_port)}
        self._guard = subprocess.Popen(
            ["bash", "-c", _GUARD, "guard", str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is for whoever started us; we follow
            env=os.environ | ports | {"KAFKA_DATA": str(self.folder)},
        )
        assert self._guard.stdout is not None
        said: list[str] = []
        for line in self._guard.stdout:
            if line == "started\n":
                break
            said.append(line)
        else:
            self._dismiss()
            raise RuntimeError(f"Kafka did not start in {self.folder}: {''.join(said).strip()}")
        self._wait_until_it_answers()

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def _end(self, how: signal.Signals) -> None:
        if self._guard is None:
            return
        pid_file = self.folder / "broker.pid"
        pid = int(pid_file.read_text())
        try:
            os.kill(pid, how)
            deadline = time.monotonic() + _STOPPED_WITHIN_S
            while lives(pid):
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    deadline += _STOPPED_WITHIN_S
                time.sleep(0.01)
        except ProcessLookupError:
            pass
        pid_file.unlink()
        self._dismiss()

    def _dismiss(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.communicate(timeout=_STARTED_WITHIN_S)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _STARTED_WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def kafka_home() -> Path:
    """The folder whose bin/kafka starts a broker; scripts/kafka looks in the same places."""
    home = Path(os.environ.get("KAFKA_HOME") or Path(__file__).parents[4] / "shared" / "kafka")
    if not os.access(home / "bin" / "kafka", os.X_OK):
        raise ServerMissing(f"no Kafka broker at {home}; set KAFKA_HOME to a folder whose bin/kafka starts and stops one")
    if shutil.which("java") is None:
        raise ServerMissing("Kafka needs Java 17 or newer: apt-get install openjdk-17-jre-headless")
    return home


def lives(pid: int) -> bool:
    """Whether a process still runs. One that has ended and waits to be collected does not, but its last threads may still: until then its socket listens."""
    process = Path(f"/proc/{pid}")
    try:
        ended = (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not ended or len(list((process / "task").iterdir())) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False

"""What the servers that tests and measurements start for themselves have in common."""

import secrets
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

_STOP_S = 20.0


class ServerMissing(Exception):
    """The server is not installed; the message says how to get it."""


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment, each another one."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def free_ports_in_a_row(count: int) -> int:
    """The first of so many ports, one after the other, that nobody listens on; below those that the kernel hands out."""
    while True:
        first = 15_000 + secrets.randbelow(10_000)
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first


class LocalServer:
    """A server in a process of its own with its log in a file, once `launch` has started it."""

    def __init__(self, log_file: Path, gently: signal.Signals) -> None:
        self._log_file = log_file
        self._gently = gently  # what makes it end in good order
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        """Whether its process does, answering or not."""
        return self._process is not None and self._process.poll() is None

    def launch(self, command: Sequence[str | Path]) -> None:
        """Starts the process; a Ctrl-C is for us, who end it."""
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def stop(self) -> None:
        """Ends it in good order: everything is written."""
        self._end(self._gently)

    def kill(self) -> None:
        """Ends it with SIGKILL, as the kernel would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Makes it stand still with its connections open, until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    def failed(self, what: str) -> RuntimeError:
        """An error that ends with the end of the log."""
        return RuntimeError(f"{what}:\n{self._log_file.read_text(errors='replace')[-2_000:]}")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, how: signal.Signals) -> None:
        """Also one that stands still; it is killed when it takes too long."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

"""What the servers that tests and measurements start for themselves have in common."""

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


def launched(command: Sequence[str | Path], log_file: Path) -> subprocess.Popen[bytes]:
    """A server in a process of its own that writes to its log; a Ctrl-C is for us, who end it."""
    with log_file.open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Ends a server with a signal, also one that stands still; it is killed when it takes too long."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

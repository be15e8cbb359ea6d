"""LocalRedis and LocalRedisCluster: Redis of one's own on loopback, for tests and measurements."""

import secrets
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import redis

from reelrank.benchmarks.local_server import LocalServer, ServerMissing, free_port

_READY_S = 20.0
_BUS_AWAY = 10_000  # a cluster's nodes talk at their port plus this
_SLOTS = 16_384


class LocalRedis(LocalServer):
    """A server with its data below `folder`, as an online store wants it; `start` after `stop` or `kill` goes on with the same data at the same port."""

    def __init__(self, folder: Path, port: int | None = None, clustered: bool = False) -> None:
        super().__init__(folder / "redis.log", gently=signal.SIGTERM)
        self._program = _program()
        self._folder = folder
        self._clustered = clustered
        self._password = secrets.token_urlsafe(12)
        self.port = port or free_port()

    @property
    def url(self) -> str:
        """As it goes into the configuration."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    @property
    def password(self) -> str:
        """What a client must know."""
        return self._password

    def client(self) -> redis.Redis:
        """Somebody to look inside with."""
        return redis.Redis(host="127.0.0.1", port=self.port, password=self._password, protocol=2)

    def start(self) -> None:
        """Starts the server unless it runs, on what is there, and returns when it answers and has loaded everything."""
        if self.runs:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = self._folder / "redis.conf"  # not on the command line: others can read that
        settings.touch(mode=0o600)
        settings.write_text(self._settings())
        self.launch([*_ending_with_us(), self._program, settings])
        deadline = time.monotonic() + _READY_S
        while not self._answers():
            if not self.runs or time.monotonic() > deadline:
                self.kill()
                raise self.failed(f"Redis did not come up within {_READY_S:g} s")
            time.sleep(0.01)

    def __enter__(self) -> "LocalRedis":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _settings(self) -> str:
        settings = {
            "bind": "127.0.0.1",
            "port": self.port,
            "dir": self._folder.resolve(),
            "requirepass": self._password,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "daemonize": "no",
        }
        if self._clustered:
            settings |= {"cluster-enabled": "yes", "cluster-config-file": "nodes.conf", "cluster-node-timeout": 2_000, "masterauth": self._password}
        return "".join(f"{name} {value}\n" for name, value in settings.items())

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:  # also while it loads
            return False


class LocalRedisCluster:
    """A Redis Cluster of `masters` nodes without replicas."""

    def __init__(self, folder: Path, masters: int = 3) -> None:
        self.nodes = [LocalRedis(folder / f"node-{number}", port, clustered=True) for number, port in enumerate(_free_cluster_ports(masters))]
        for node in self.nodes[1:]:
            node._password = self.nodes[0]._password

    @property
    def url(self) -> str:
        """As it goes into the configuration: any node leads to the others."""
        return f"redis-cluster://:{self.password}@127.0.0.1:{self.nodes[0].port},127.0.0.1:{self.nodes[-1].port}"

    @property
    def password(self) -> str:
        """What a client must know."""
        return self.nodes[0].password

    def start(self) -> None:
        """Starts every node that does not run and returns when they are one cluster."""
        for node in self.nodes:
            node.start()
        first, *others = [node.client() for node in self.nodes]
        if not self._agreed():
            for number, client in enumerate([first, *others]):
                told: Any = client.execute_command("CLUSTER INFO")
                if told["cluster_slots_assigned"] == "0":
                    begin, end = (_SLOTS * part // len(self.nodes) for part in (number, number + 1))
                    client.execute_command("CLUSTER ADDSLOTSRANGE", begin, end - 1)
            for node in self.nodes[1:]:
                first.execute_command("CLUSTER MEET", "127.0.0.1", node.port)
        deadline = time.monotonic() + _READY_S
        while not self._agreed():
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the nodes of the Redis Cluster did not find each other within {_READY_S:g} s")
            time.sleep(0.05)
        for client in (first, *others):
            client.close()

    def stop(self) -> None:
        """Ends every node in good order."""
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """Ends every node with SIGKILL."""
        for node in self.nodes:
            node.kill()

    def __enter__(self) -> "LocalRedisCluster":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _agreed(self) -> bool:
        """Whether every node knows a master for every slot."""
        for node in self.nodes:
            with node.client() as client:
                told: Any = client.execute_command("CLUSTER INFO")
            if told["cluster_state"] != "ok" or told["cluster_slots_assigned"] != str(_SLOTS) or told["cluster_known_nodes"] != str(len(self.nodes)):
                return False
        return True


def _program() -> str:
    found = shutil.which("redis-server")
    if not found:
        raise ServerMissing("no Redis on this machine; scripts/install-servers gets it, or: apt-get install redis-server")
    return found


def _ending_with_us() -> list[str]:
    """What makes a program end with us however we end (Linux only)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig=KILL", "--"] if setpriv else []


def _free_cluster_ports(count: int) -> list[int]:
    """Ports below those that the kernel hands out, so that the nodes' second ports are free as well."""
    found: list[int] = []
    while len(found) < count:
        port = 15_000 + secrets.randbelow(10_000)
        with socket.socket() as probe, socket.socket() as bus:
            try:
                probe.bind(("127.0.0.1", port))
                bus.bind(("127.0.0.1", port + _BUS_AWAY))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found

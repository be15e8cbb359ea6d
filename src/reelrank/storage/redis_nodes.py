"""Which Redis server holds what: the only one, or the masters of a Redis Cluster; asked within a time limit, and left alone while it is away."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ClusterError, MovedError, RedisError
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from reelrank.storage.event_log import StorageError

Answer = TypeVar("Answer")
Address = tuple[str, int]

_SCHEMES = {"redis": (False, False), "rediss": (True, False), "redis-cluster": (False, True), "rediss-cluster": (True, True)}  # (TLS, cluster)


class Client(Protocol):
    """What is used of `redis.Redis`, which says little of what it answers."""

    def execute_command(self, *parts: Any) -> Any: ...
    def pipeline(self, transaction: bool) -> Any: ...
    def info(self, section: str) -> dict[str, Any]: ...
    def close(self) -> None: ...


class RedisAway(StorageError):
    """Redis did not answer; it may do so later."""


class Breaker:
    """Says whether to try: after a failure nobody for `rest_s`, then one at a time until it worked."""

    def __init__(self, rest_s: float) -> None:
        self._rest_s = rest_s
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._failed = False

    def lets_through(self) -> bool:
        """Whether to try now."""
        if not self._failed:
            return True
        with self._lock:
            if time.monotonic() < self._closed_until:
                return False
            self._closed_until = time.monotonic() + self._rest_s  # the others wait for how this one fares
            return True

    def note(self, worked: bool) -> None:
        """How a try ended."""
        if worked and not self._failed:
            return
        with self._lock:
            self._failed = not worked
            self._closed_until = 0.0 if worked else time.monotonic() + self._rest_s


class _Node:
    """One server."""

    def __init__(self, client: Client, breaker: Breaker) -> None:
        self.client = client
        self.breaker = breaker


class RedisNodes:
    """The servers behind a URL: redis://[user:password@]host[:port][/db], rediss:// with TLS, redis-cluster:// with one or more of a cluster's nodes.

    No call takes much longer than `timeout_s` for each server that does not answer. With `rest_s`, calls for
    a server that failed raise at once for so long. Nothing is tried twice but what a cluster sends elsewhere.
    """

    def __init__(self, url: str, timeout_s: float, rest_s: float = 0.0) -> None:
        self._seeds, self._options, self._clustered = _parsed(url)
        self._options |= {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        self._rest_s = rest_s
        self._lock = threading.Lock()
        self._nodes: dict[Address, _Node] = {}
        self._slots: list[tuple[int, int, Address]] = []  # of a cluster: (first slot, last slot, master)
        self._map_breaker = Breaker(rest_s)
        self.where = ", ".join(f"{host}:{port}" for host, port in self._seeds)

    def ask(self, key: bytes, what: str, question: Callable[[Client], Answer]) -> Answer:
        """Asks the server that holds `key`; a StorageError says that `what` was not possible."""
        return self._ask(lambda: self._address(key), what, question)

    def ask_at(self, address: Address, what: str, question: Callable[[Client], Answer]) -> Answer:
        """Asks one of the `masters`."""
        return self._ask(lambda: address, what, question)

    def masters(self, what: str) -> list[Address]:
        """Every server that holds anything."""
        if not self._clustered:
            return self._seeds[:1]
        try:
            return sorted({address for _, _, address in self._slots or self._read_slots()})
        except (RedisError, OSError) as problem:
            raise self._failure(what, problem) from problem

    def split(self, keys: Iterable[bytes], what: str) -> list[list[bytes]]:
        """The keys, those of one server together."""
        found: dict[Address, list[bytes]] = {}
        try:
            for key in keys:
                found.setdefault(self._address(key), []).append(key)
        except (RedisError, OSError) as problem:
            raise self._failure(what, problem) from problem
        return list(found.values())

    def close(self) -> None:
        """Closes the connections."""
        for node in self._nodes.values():
            node.client.close()

    def _ask(self, where: Callable[[], Address], what: str, question: Callable[[Client], Answer]) -> Answer:
        try:
            try:
                return self._ask_node(where(), what, question)
            except MovedError as moved:  # to a master that the other nodes may not have heard of yet
                host: Any = cast(Any, moved).host
                slot, address = int(moved.slot_id), (str(host), int(moved.port))
                self._slots = [(slot, slot, address), *(known for known in self._slots if known[:2] != (slot, slot))]
                return self._ask_node(address, what, question)
        except (RedisError, OSError) as problem:
            raise self._failure(what, problem) from problem

    def _ask_node(self, address: Address, what: str, question: Callable[[Client], Answer]) -> Answer:
        node = self._node(address)
        if not node.breaker.lets_through():
            raise RedisAway(f"{what}: Redis at {address[0]}:{address[1]} did not answer a moment ago")
        try:
            answer = question(node.client)
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            node.breaker.note(worked=False)
            self._slots = []  # somebody else may be master by now
            raise
        except RedisError:
            node.breaker.note(worked=True)  # it refuses, but it is there
            raise
        node.breaker.note(worked=True)
        return answer

    def _failure(self, what: str, problem: Exception) -> StorageError:
        away = isinstance(problem, redis.ConnectionError | redis.TimeoutError | ClusterError | OSError) and not isinstance(problem, redis.AuthenticationError)
        return (RedisAway if away else StorageError)(f"{what}: Redis at {self.where}: {problem or type(problem).__name__}")

    def _address(self, key: bytes) -> Address:
        if not self._clustered:
            return self._seeds[0]
        slot = key_slot(key)
        for first, last, address in self._slots or self._read_slots():
            if first <= slot <= last:
                return address
        self._slots = []
        raise redis.ConnectionError(f"no node of the cluster has slot {slot}")

    def _read_slots(self) -> list[tuple[int, int, Address]]:
        """Asks one node after the other which master has which slots, first those that were masters before."""
        if not self._map_breaker.lets_through():
            raise redis.ConnectionError("no node of the cluster answered a moment ago")
        problem: Exception | None = None
        for address in dict.fromkeys([*self._nodes, *self._seeds]):
            node = self._node(address)
            if not node.breaker.lets_through():
                continue
            try:
                answer = node.client.execute_command("CLUSTER SHARDS")
            except (RedisError, OSError) as failure:
                node.breaker.note(worked=False)
                problem = failure
                continue
            node.breaker.note(worked=True)
            self._map_breaker.note(worked=True)
            self._slots = _masters_in(answer, address, bool(self._options.get("ssl")))
            return self._slots
        self._map_breaker.note(worked=False)
        raise problem or redis.ConnectionError("no node of the cluster answered a moment ago")

    def _node(self, address: Address) -> _Node:
        node = self._nodes.get(address)
        if node is None:
            with self._lock:
                node = self._nodes.get(address)
                if node is None:
                    node = self._nodes[address] = _Node(cast(Client, redis.Redis(host=address[0], port=address[1], **self._options)), Breaker(self._rest_s))
        return node


def _parsed(url: str) -> tuple[list[Address], dict[str, Any], bool]:
    """(servers, options of the client, whether they are a cluster). What it complains about never shows the password."""
    wanted = "redis://[user:password@]host[:port][/db], or rediss:// with TLS, or redis-cluster://host:port,host:port"
    scheme, _, rest = url.partition("://")
    if scheme not in _SCHEMES:
        raise ValueError(f"the online store's URL begins with {scheme.partition(':')[0]!r}; known: {wanted}")
    tls, clustered = _SCHEMES[scheme]
    place, _, path = rest.rpartition("@")[2].partition("/")
    account = rest.rpartition("@")[0]
    try:
        servers = [urlsplit(f"//{server}") for server in place.split(",")]
        seeds = [(server.hostname or "", server.port or 6379) for server in servers]
        database = int(path) if path else 0
    except ValueError:
        raise ValueError(
            f"the online store's URL ({scheme}://…) can't be read; it should be {wanted}, with special characters of the password as %XX"
        ) from None
    if not all(host for host, _ in seeds) or (clustered and database) or (len(seeds) > 1 and not clustered):
        raise ValueError(
            f"the online store's URL ({scheme}://…) names no host, several where there can be one, or a database of a cluster; it should be {wanted}"
        )
    username, _, password = account.partition(":")
    options: dict[str, Any] = {
        "db": database,
        "username": unquote(username) or None,
        "password": unquote(password) or None,
        "ssl": tls,
        "protocol": 2,  # a new connection needs no round trip before its first question
        "driver_info": None,
        "retry": Retry(NoBackoff(), 0),  # whoever asks knows better whether there is time
        "socket_keepalive": True,
        "socket_read_size": 1 << 16,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),  # they would stretch the time limits
    }
    return seeds, options, clustered


def _masters_in(shards: Any, asked: Address, tls: bool) -> list[tuple[int, int, Address]]:
    """What CLUSTER SHARDS says: (first slot, last slot, master)."""
    found: list[tuple[int, int, Address]] = []
    for shard in map(_by_name, shards):
        slots = shard["slots"]
        for node in map(_by_name, shard["nodes"]):
            if node["role"] == b"master" and node.get("health", b"online") == b"online":
                name: bytes = node.get("endpoint") or node.get("ip") or b""
                host = asked[0] if name in (b"", b"?") else name.decode()  # it does not know its own name: it is as we know it
                port = int((node.get("tls-port") if tls else None) or node.get("port") or asked[1])
                found += [(int(slots[at]), int(slots[at + 1]), (host, port)) for at in range(0, len(slots), 2)]
    return found


def _by_name(pairs: Any) -> dict[str, Any]:
    """A map as it comes over version 2 of the protocol: names and values in turn."""
    return {name.decode(): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}

"""Batches of events and raw connections to post them: a client that costs so little that the service is what is measured."""

import re
import selectors
import socket
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import msgspec
import numpy as np

from reelrank.domain.event import Accepted, Context, Event, decode_accepted, encode_accepted
from reelrank.simulation.past import past_events
from reelrank.simulation.world import World
from reelrank.storage.event_log import EVENTS, EventLog, Record

_NUMBER = "########"  # stands in every event id for the number of its batch
_DISTINCT = 200  # batches that differ in more than their ids
_NETWORKS = ("wifi", "wifi", "5g", "4g")
_READ_BYTES = 65_536
_SEND_BUFFER_BYTES = 524_288
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Batches:
    """What people of a world did, `size` events at a time, encoded once. Each number makes a batch with event ids of its own."""

    def __init__(self, world: World, seed: int, size: int) -> None:
        self.size = size
        rng = np.random.default_rng(seed)
        events = past_events(world, rng, world.now, events=round(1.3 * size * _DISTINCT), days=1.0)
        contexts = {person.user_id: _context(rng, person.place.name) for person in world.people}
        told = [msgspec.structs.replace(event, context=_joined(event, contexts)) for event in events[: size * _DISTINCT]]
        groups = [_named(told[start : start + size]) for start in range(0, len(told) - size + 1, size)]
        bodies = [msgspec.json.encode(group) for group in groups]
        self.body_bytes = sum(map(len, bodies)) / len(bodies)
        head = "POST /v1/events HTTP/1.1\r\nHost: reelrank\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
        self._requests = [head.format(len(body)).encode() + body for body in bodies]
        self._records = [
            [Record(event.key, encode_accepted(Accepted(event, world.now, event.occurred_at or world.now))) for event in group] for group in groups
        ]

    def request(self, number: int) -> bytes:
        """The whole HTTP request of a batch."""
        return self._requests[number % len(self._requests)].replace(_NUMBER.encode(), b"%08x" % number)

    def records(self, number: int) -> list[Record]:
        """The batch as the collector would append it; its event ids have no number."""
        return self._records[number % len(self._records)]


def not_in_log(log: EventLog, acknowledged: Sequence[int], size: int) -> int:
    """How many events of the acknowledged batches the log does not hold."""
    there = np.zeros((max(acknowledged, default=0) + 1, size), dtype=np.bool_)
    for partition in range(log.partitions):
        offset = 0
        while records := log.read(EVENTS, partition, offset, 5_000):
            offset = records[-1].offset + 1
            for record in records:
                number, dot, place = decode_accepted(record.value).event.event_id.partition(".")
                if dot and len(number) == len(_NUMBER) and number != _NUMBER and int(number, 16) < len(there):
                    there[int(number, 16), int(place)] = True
    return int(np.count_nonzero(~there[np.asarray(acknowledged, dtype=np.int64)]))


class Wires:
    """Keep-alive connections of one thread. A request is due at its moment, whatever became of the ones before; nothing is ever sent twice."""

    def __init__(self, url: str, batches: Batches, at_most: int) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._batches = batches
        self._at_most = at_most
        self._selector = selectors.DefaultSelector()
        self._idle: list[_Wire] = []
        self._open = 0
        self._next = 0
        self.acknowledged = array("q")  # numbers of the batches that were accepted, over all runs
        self.accepted_ms = array("d")  # of this run, from when a request was due
        self.other_ms = array("d")
        self.statuses: Counter[int] = Counter()  # of this run; 0: no answer
        self.unsent = 0  # due while every connection was waiting for its answer

    def run(self, seconds: float, rate: float | None = None, on_progress: Callable[[int], None] = lambda _: None) -> float:
        """Posts `rate` batches a second, without a rate as many as are answered; returns the seconds until the last answer."""
        self.accepted_ms, self.other_ms, self.statuses, self.unsent = array("d"), array("d"), Counter(), 0
        began = now = time.perf_counter()
        told_s = 0
        issued = 0
        while (elapsed := now - began) < seconds:
            if rate is None:
                while self._idle or self._open < self._at_most:
                    self._send(now)
            else:
                for number in range(issued, int(elapsed * rate) + 1):
                    if self._idle or self._open < self._at_most:
                        self._send(began + number / rate)
                    else:
                        self.unsent += 1
                issued = int(elapsed * rate) + 1
            self._take_answers(0.1 if rate is None else max(0.0, began + issued / rate - time.perf_counter()))
            now = time.perf_counter()
            if int(now - began) > told_s:
                told_s = int(now - began)
                on_progress(1)
        deadline = now + 30.0
        while len(self._idle) < self._open and time.perf_counter() < deadline:
            self._take_answers(0.1)
        return time.perf_counter() - began

    def close(self) -> None:
        """Closes every connection; what is not answered by now never is."""
        for key in list(self._selector.get_map().values()):
            key.data.stream.close()
        self._selector.close()

    def _send(self, due: float) -> None:
        wire = self._idle.pop() if self._idle else self._connected()
        wire.due, wire.number = due, self._next
        wire.rest = memoryview(self._batches.request(self._next))
        self._next += 1
        self._push(wire)

    def _connected(self) -> "_Wire":
        wire = _Wire(socket.create_connection(self._address))
        wire.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        wire.stream.setblocking(False)
        self._selector.register(wire.stream, selectors.EVENT_READ, wire)
        self._open += 1
        return wire

    def _push(self, wire: "_Wire") -> None:
        """Sends what the connection takes; the rest when it takes more."""
        try:
            wire.rest = wire.rest[wire.stream.send(wire.rest) :]
        except BlockingIOError:
            pass
        except OSError:  # the answer, if there is one, tells why
            wire.rest = memoryview(b"")
        if bool(wire.rest) != wire.blocked:
            wire.blocked = bool(wire.rest)
            self._selector.modify(wire.stream, selectors.EVENT_READ | (selectors.EVENT_WRITE if wire.blocked else 0), wire)

    def _take_answers(self, timeout_s: float) -> None:
        for key, ready in self._selector.select(timeout_s):
            wire: _Wire = key.data
            if ready & selectors.EVENT_WRITE:
                self._push(wire)
            if ready & selectors.EVENT_READ:
                self._read(wire)

    def _read(self, wire: "_Wire") -> None:
        try:
            part = wire.stream.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        wire.answer += part
        if part and not wire.complete:
            return
        closed = not part or b"connection: close" in wire.answer.lower()
        if wire.due is not None:  # else the server closed a connection that nobody was using
            self._count(wire, int(wire.answer[9:12]) if wire.complete else 0, wire.due)
        if closed:
            if wire in self._idle:
                self._idle.remove(wire)
            self._selector.unregister(wire.stream)
            wire.stream.close()
            self._open -= 1
        else:
            self._idle.append(wire)

    def _count(self, wire: "_Wire", status: int, due: float) -> None:
        took_ms = (time.perf_counter() - due) * 1000
        self.statuses[status] += 1
        if status == 202:
            self.acknowledged.append(wire.number)
            self.accepted_ms.append(took_ms)
            if b'"accepted":%d,' % self._batches.size not in wire.answer:
                raise UnexpectedAnswer(f"a batch of {self._batches.size} good events was answered with {bytes(wire.answer[-400:])!r}")
        else:
            self.other_ms.append(took_ms)
        wire.answer, wire.due = b"", None


class UnexpectedAnswer(Exception):
    """The service refused events that are good."""


class _Wire:
    """One connection and the request that is under way on it."""

    __slots__ = ("answer", "blocked", "due", "number", "rest", "stream")

    def __init__(self, connected: socket.socket) -> None:
        self.stream = connected
        self.answer = b""
        self.due: float | None = None
        self.number = 0
        self.rest = memoryview(b"")
        self.blocked = False

    @property
    def complete(self) -> bool:
        head, end, body = self.answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        return bool(end) and (length is None or len(body) >= int(length[1]))


def _context(rng: np.random.Generator, place: str) -> Context:
    network = _NETWORKS[int(rng.integers(len(_NETWORKS)))]
    version = f"3.{int(rng.integers(9))}.{int(rng.integers(20))}"
    return Context(device="phone", app_version=version, place=place, network=network, bandwidth_kbps=int(rng.integers(500, 20_000)))


def _joined(event: Event, contexts: dict[str, Context]) -> Context:
    """Where and how the user watches, at the hour of the event."""
    given = event.context  # pyright: ignore[reportAttributeAccessIssue]
    return msgspec.structs.replace(contexts[event.key], local_hour=given.local_hour if given else None)


def _named(events: Sequence[Event]) -> list[Event]:
    return [msgspec.structs.replace(event, event_id=f"{_NUMBER}.{place}") for place, event in enumerate(events)]

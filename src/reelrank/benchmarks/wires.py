"""Raw keep-alive connections: a client that costs so little that the service is what is measured."""

import re
import selectors
import socket
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable
from urllib.parse import urlsplit

_READ_BYTES = 65_536
_SEND_BUFFER_BYTES = 524_288
_ANSWERS_WITHIN_S = 30.0
_LOOK_S, _PAUSE_S = 0.02, 0.1
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Wires:
    """Keep-alive connections of one thread. A request is due at its moment, whatever became of the ones before; nothing is ever sent twice."""

    def __init__(self, url: str, request: Callable[[int], bytes], accepted: int, expected: bytes = b"") -> None:
        """`request` makes the bytes of each request from its number; `accepted` is the status that counts, with `expected` in the answer."""
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._request = request
        self.accepted = accepted
        self._expected = expected
        self._selector = selectors.DefaultSelector()
        self._idle: list[_Wire] = []
        self._resting: deque[tuple[float, _Wire]] = deque()  # until when
        self._open = 0
        self._next = 0
        self.acknowledged = array("q")  # numbers of the requests that were accepted, over all runs
        self.accepted_ms = array("d")  # of this run, from when a request was due
        self.other_ms = array("d")
        self.statuses: Counter[int] = Counter()  # of this run; 0: no answer
        self._pause_s = 0.0
        self.unsent = 0  # due while every connection was waiting for its answer

    def run(self, seconds: float, connections: int, rate: float | None = None, on_progress: Callable[[int], None] = lambda _: None) -> float:
        """Sends `rate` requests a second, without a rate as many as are answered, over at most so many connections.

        Without a rate, a connection that was told to come back rests for a moment. Returns the seconds until the last answer.
        """
        self.accepted_ms, self.other_ms, self.statuses, self.unsent = array("d"), array("d"), Counter(), 0
        self._pause_s = _PAUSE_S if rate is None else 0.0
        began = now = time.perf_counter()
        told_s = 0
        issued = 0
        while (elapsed := now - began) < seconds:
            while self._resting and self._resting[0][0] <= now:
                self._idle.append(self._resting.popleft()[1])
            if rate is None:
                while self._idle or self._open < connections:
                    self._send(now)
            else:
                for number in range(issued, int(elapsed * rate) + 1):
                    if self._idle or self._open < connections:
                        self._send(began + number / rate)
                    else:
                        self.unsent += 1
                issued = int(elapsed * rate) + 1
            self._take_answers(_LOOK_S if rate is None else max(0.0, began + issued / rate - time.perf_counter()))
            now = time.perf_counter()
            if int(now - began) > told_s:
                told_s = int(now - began)
                on_progress(1)
        deadline = now + _ANSWERS_WITHIN_S
        while len(self._idle) + len(self._resting) < self._open and time.perf_counter() < deadline:
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
        wire.rest = memoryview(self._request(self._next))
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
        turned_away = wire.complete and int(wire.answer[9:12]) != self.accepted
        closed = not part or b"connection: close" in wire.answer.lower()
        if wire.due is not None:  # else the server closed a connection that nobody was using
            self._count(wire, int(wire.answer[9:12]) if wire.complete else 0, wire.due)
        if closed:
            if wire in self._idle:
                self._idle.remove(wire)
            self._resting = deque(one for one in self._resting if one[1] is not wire)
            self._selector.unregister(wire.stream)
            wire.stream.close()
            self._open -= 1
        elif turned_away and self._pause_s:
            self._resting.append((time.perf_counter() + self._pause_s, wire))
        else:
            self._idle.append(wire)

    def _count(self, wire: "_Wire", status: int, due: float) -> None:
        took_ms = (time.perf_counter() - due) * 1000
        self.statuses[status] += 1
        if status == self.accepted:
            self.acknowledged.append(wire.number)
            self.accepted_ms.append(took_ms)
            if self._expected not in wire.answer:
                raise UnexpectedAnswer(f"{self._expected!r} is not in the answer {bytes(wire.answer[-400:])!r}")
        else:
            self.other_ms.append(took_ms)
        wire.answer, wire.due = b"", None


class UnexpectedAnswer(Exception):
    """The service answered otherwise than it should."""


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

"""Open-loop load from a process of its own: feeds at their moments, whether or not earlier ones are answered, and events beside them.

Run as `python -m reelrank.benchmarks.feed_load`: what to ask comes in on stdin, what came of it goes out on stdout.
"""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from typing import Any
from urllib.parse import quote, urlsplit

import httptools
import msgspec
import numpy as np

from reelrank.benchmarks.made_log import Visits, made_videos
from reelrank.domain.event import Served

_BATCH = 100  # events in a request
_WITHIN_S = 10.0
_SKEW = 1.0  # Zipf's exponent: how much more often the most active ask


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What load is wanted."""

    url: str
    user_ids: list[str]
    rate: float  # feeds a second
    seconds: float
    events_per_s: float
    videos: int  # of the catalogue of `made_log`
    count: int = 10
    seed: int = 0


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. Latencies begin when a request was due, in milliseconds."""

    latency_ms: list[float]
    took_s: float
    errors: dict[str, int]
    degraded: dict[str, int]
    ranked_by: dict[str, int]
    kept: int  # slates that were ranked for an earlier request
    users: int  # different ones that asked
    events: int  # that were accepted
    cpu_share: float  # of one core, that the generator took


class _Slate(msgspec.Struct):
    degraded: list[str]
    ranked_by: str
    kept: bool
    videos: list[msgspec.Raw]


class _Accepted(msgspec.Struct):
    accepted: int


def run(asked: Asked) -> Answered:
    """Puts the load on a running system, from another process."""
    done = subprocess.run([sys.executable, "-m", __spec__.name], input=msgspec.json.encode(asked), stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Answered)


class _Connection(asyncio.Protocol):
    """One connection, on which one request is under way at a time."""

    def __init__(self) -> None:
        self.transport: Any = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._parser: Any = None
        self._body = bytearray()
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("closed without an answer"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.usable = bool(self._parser.should_keep_alive())
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), bytes(self._body)))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self._answer, self._parser = asyncio.get_running_loop().create_future(), httptools.HttpResponseParser(self)
        self._body.clear()
        self.transport.write(request)
        return await self._answer


class _Load:
    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        parts = urlsplit(asked.url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._free: list[_Connection] = []
        self.latency_ms: list[float] = []
        self.errors: Counter[str] = Counter()
        self.degraded: Counter[str] = Counter()
        self.ranked_by: Counter[str] = Counter()
        self.kept = self.accepted = 0

    async def run(self) -> Answered:
        asked, rng = self._asked, np.random.default_rng(self._asked.seed)
        weights = 1.0 / np.arange(1, len(asked.user_ids) + 1) ** _SKEW
        who = rng.choice(rng.permutation(len(asked.user_ids)), size=round(asked.rate * asked.seconds), p=weights / weights.sum()).tolist()
        feeds = [self._feed(asked.user_ids[user]) for user in who]
        bodies = _bodies(asked, rng)
        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.gather(self._at_rate(feeds, asked.rate), self._at_rate(bodies, asked.events_per_s / _BATCH))
        took_s = time.perf_counter() - began
        return Answered(
            latency_ms=self.latency_ms,
            took_s=took_s,
            errors=dict(self.errors),
            degraded=dict(self.degraded),
            ranked_by=dict(self.ranked_by),
            kept=self.kept,
            users=len(set(who)),
            events=self.accepted,
            cpu_share=round((time.process_time() - cpu) / took_s, 3),
        )

    def _feed(self, user_id: str) -> bytes:
        return f"GET /v1/feed?user_id={quote(user_id)}&count={self._asked.count} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n\r\n".encode()

    async def _at_rate(self, requests: list[bytes], rate: float) -> None:
        """Each request at its moment, on whatever connection is free."""
        began, under_way = time.perf_counter(), set[asyncio.Task[None]]()
        for number, request in enumerate(requests):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(self._one(request, due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)

    async def _one(self, request: bytes, due: float) -> None:
        try:
            async with asyncio.timeout(_WITHIN_S):
                connection = self._free.pop() if self._free else await self._connected()
                status, body = await connection.ask(request)
        except (OSError, TimeoutError, httptools.HttpParserError) as problem:
            self.errors[type(problem).__name__] += 1
            return
        if connection.usable:
            self._free.append(connection)
        if request.startswith(b"POST"):
            self._tell_events(status, body)
        else:
            self._tell_feed(status, body, (time.perf_counter() - due) * 1000)

    def _tell_feed(self, status: int, body: bytes, took_ms: float) -> None:
        if status != 200:
            self.errors[str(status)] += 1
            return
        self.latency_ms.append(took_ms)
        slate = msgspec.json.decode(body, type=_Slate)
        self.degraded.update(slate.degraded)
        self.ranked_by[slate.ranked_by] += 1
        self.kept += slate.kept
        if len(slate.videos) < self._asked.count:
            self.errors["a short slate"] += 1

    def _tell_events(self, status: int, body: bytes) -> None:
        if status == 202:
            self.accepted += msgspec.json.decode(body, type=_Accepted).accepted
        else:
            self.errors[f"events {status}"] += 1

    async def _connected(self) -> _Connection:
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        return connection


def _bodies(asked: Asked, rng: np.random.Generator) -> list[bytes]:
    """Batches of what people do, for as long as the load lasts."""
    wanted = round(asked.events_per_s * asked.seconds / _BATCH)
    videos, visits = made_videos(min(asked.videos, 20_000), time.time(), asked.seed), Visits(rng)
    events: list[Any] = []
    while len(events) < wanted * _BATCH:
        user = int(rng.integers(len(asked.user_ids)))
        shown = [videos[row] for row in rng.choice(len(videos), 10, replace=False).tolist()]
        name = f"load-{asked.seed}-{time.time_ns():x}-{len(events)}"
        done = visits.made(asked.user_ids[user], user, name, shown, time.time())
        events += [msgspec.structs.replace(event, request_id="", occurred_at=None) for event in done if not isinstance(event, Served)]
    head = f"POST /v1/events HTTP/1.1\r\nHost: localhost:{urlsplit(asked.url).port}\r\nContent-Type: application/json\r\nContent-Length: "
    bodies = [msgspec.json.encode(events[start : start + _BATCH]) for start in range(0, wanted * _BATCH, _BATCH)]
    return [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]


def main() -> None:
    """The generator's process."""
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(_Load(asked).run())))


if __name__ == "__main__":
    main()

"""Browsers: many connections that ask for slates and tell what was watched, each request at its moment, and nothing ever sent twice."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import msgspec
import numpy as np

from reelrank.domain.event import Event, Impression, Watch
from reelrank.domain.video import Id

_WITHIN_S = 30.0
_WATCHED = 3  # videos of a slate, from the top
_AT_ONCE = 4_096  # moments that are drawn together


class Request(NamedTuple):
    """One request: when it was due (`time.perf_counter` seconds), how long it took from then, and how it ended."""

    due: float
    took_ms: float
    failure: str  # empty when it was answered as it should be


class _Shown(msgspec.Struct):
    video_id: Id


class _Slate(msgspec.Struct):
    request_id: str
    videos: list[_Shown]


class Browsers:
    """Threads with a connection each. A step is somebody's slate and, as soon as that is there, what they watched of it."""

    def __init__(self, url: str, user_ids: list[str], connections: int, seed: int) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._user_ids = user_ids
        self._connections = connections
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._steps = self._due_steps(None)
        self._seen: dict[str, set[str]] = {user_id: set() for user_id in user_ids}
        self.requests: list[Request] = []
        self.failures: Counter[str] = Counter()
        self.answered: set[str] = set()  # the names of the slates
        self.acknowledged: set[str] = set()  # the ids of the events
        self.served_again: list[tuple[str, str]] = []  # user and video, seen before the slate was asked for

    @contextmanager
    def at_work(self, steps_per_s: float | None = None) -> Iterator[None]:
        """Lets them ask while the block runs: so many steps a second, at moments of chance and whether or not the earlier ones are answered.

        Without a rate each asks again when it is answered.
        """
        self._stopping.clear()
        self._steps = self._due_steps(steps_per_s)
        threads = [threading.Thread(target=self._browse, name=f"browser-{number}", daemon=True) for number in range(self._connections)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()

    def _due_steps(self, steps_per_s: float | None) -> Iterator[tuple[float, str]]:
        """The moment of each step, and whose it is: of all users in turn, so that what somebody did is known when they come again."""
        now, number = time.perf_counter(), 0
        while True:
            for gap in self._rng.exponential(1 / steps_per_s, _AT_ONCE).tolist() if steps_per_s else [0.0]:
                now = now + gap if steps_per_s else time.perf_counter()
                yield now, self._user_ids[number % len(self._user_ids)]
                number += 1

    def _browse(self) -> None:
        wire = self._connected()
        while True:
            with self._lock:
                due, user_id = next(self._steps)
            if self._stopping.wait(max(0.0, due - time.perf_counter())):
                break
            known = frozenset(self._seen[user_id])
            wire, body = self._ask(wire, due, 200, "GET", f"/v1/feed?user_id={quote(user_id)}")
            if body is None:
                continue
            slate = msgspec.json.decode(body, type=_Slate)
            events = _watched(user_id, slate)
            with self._lock:
                self.answered.add(slate.request_id)
                self.served_again += [(user_id, video.video_id) for video in slate.videos if video.video_id in known]
            if events:
                wire, body = self._ask(wire, time.perf_counter(), 202, "POST", "/v1/events", msgspec.json.encode(events))
                if body is not None:
                    self.acknowledged.update(event.event_id for event in events)
                    self._seen[user_id].update(video.video_id for video in slate.videos[:_WATCHED])
        wire.close()

    def _ask(
        self, wire: http.client.HTTPConnection, due: float, expected: int, method: str, path: str, body: bytes | None = None
    ) -> tuple[http.client.HTTPConnection, bytes | None]:
        """The connection for the next request, and the answer if it is as expected."""
        answered = None
        try:
            wire.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
            answer = wire.getresponse()
            text = answer.read()
            if answer.status == expected:
                answered, failure = text, ""
            else:
                failure = f"{method} {answer.status}"
        except (OSError, http.client.HTTPException) as problem:
            failure = f"{method} {type(problem).__name__}"
            wire.close()
            wire = self._connected()
        self.requests.append(Request(due, (time.perf_counter() - due) * 1000, failure))
        if failure:
            with self._lock:
                self.failures[failure] += 1
        return wire, answered

    def _connected(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._address, timeout=_WITHIN_S)


def _watched(user_id: str, slate: _Slate) -> list[Event]:
    events: list[Event] = []
    for position, video in enumerate(slate.videos[:_WATCHED]):
        about = {"user_id": user_id, "request_id": slate.request_id, "video_id": video.video_id, "position": position}
        name = f"{slate.request_id}.{position}"
        events += [Impression(event_id=f"{name}i", **about), Watch(event_id=f"{name}w", watched_s=3.0, **about)]  # pyright: ignore[reportArgumentType]
    return events

"""Load that does not end: visits that are sent until they are acknowledged, and somebody who keeps asking for feeds."""

import threading
import time
from collections import Counter
from itertools import count
from typing import Any

import msgspec
import numpy as np

from reelrank.domain.event import Event
from reelrank.simulation.behavior import Person
from reelrank.simulation.client import FeedClient, FeedError
from reelrank.simulation.visit import events_of
from reelrank.simulation.world import World

THREADS = 3
COME_BACK = {408, 429, 503}
_SLATE = 8  # a visit of one slate is one batch
_PAUSE_S = 0.01  # between the batches of a thread: leaves the machine room to recover
_WATCHED_S = 0.03  # from a slate to what became of it: nobody tells of a video before its slate is written down
_SENT_TWICE = 0.1  # share of batches that are sent again although they were acknowledged
_GIVE_UP_S = 90.0
_FEED_PAUSE_S = 0.02


class Load:
    """Threads that ask for a slate and post what became of it, without end; a batch is sent, always under the same event ids, until it is acknowledged."""

    def __init__(self, client: FeedClient, world: World, seed: int) -> None:
        self._client = client
        self._world = world
        self._seed = seed
        self._visits = count()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._in_vain = False
        self._threads: list[threading.Thread] = []
        self.acknowledged: set[str] = set()
        self.sent_again = 0
        self.refusals: Counter[str] = Counter()  # by status, 0 for no answer at all
        self.without_retry_after = 0  # of those that were told to come back
        self.last_success_began = 0.0  # when the latest acknowledged request was sent, in `time.perf_counter` seconds
        self._failure: Exception | None = None

    def start(self) -> None:
        """Lets the threads run."""
        self._stopping.clear()
        self._threads = [threading.Thread(target=self._run, name=f"load-{place}", daemon=True) for place in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Returns when every batch that was begun is acknowledged."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def abandon(self) -> None:
        """Ends at once, whatever is acknowledged: something else has failed."""
        self._in_vain = True
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                with self._lock:
                    visit = next(self._visits)
                self._post(self._visit(visit), np.random.default_rng([self._seed, visit, 1]))
                time.sleep(_PAUSE_S)
        except Exception as problem:  # is raised again by stop, in the thread that asks
            self._failure = problem

    def _visit(self, visit: int) -> list[Event]:
        """What somebody does with a slate; with videos of their own choice when they are shown none."""
        rng = np.random.default_rng([self._seed, visit])
        world = self._world
        traits = world.people[int(rng.integers(len(world.people)))]
        person = Person(traits)
        try:
            slate = self._client.feed(traits.user_id, _SLATE)
            shown, request_id = [video["video_id"] for video in slate["videos"]], slate["request_id"]
            time.sleep(_WATCHED_S)
        except FeedError:  # it is the FeedWatch that counts them
            shown, request_id = [], ""
        if not shown:
            shown = [world.videos[place].video_id for place in rng.choice(len(world.videos), size=_SLATE, replace=False)]
        events: list[Event] = []
        at = time.time()
        for position, video_id in enumerate(shown):
            video = world.traits[video_id]
            reaction = person.react(video, position, at, rng)
            events += events_of(
                reaction, traits.user_id, video_id, video.author_id, at, f"visit-{visit}.{position}", position if request_id else None, request_id, speed=100.0
            )
            at += reaction.watched_s / 100.0
        return events

    def _post(self, events: list[Event], rng: np.random.Generator) -> None:
        body = msgspec.json.encode(events)
        deadline = time.monotonic() + _GIVE_UP_S
        times = 2 if rng.random() < _SENT_TWICE else 1
        while times:
            began = time.perf_counter()
            try:
                answer = self._client.post_raw(body)
            except FeedError as problem:
                if problem.status not in {0, *COME_BACK} or self._in_vain or time.monotonic() > deadline:
                    raise
                with self._lock:
                    self.sent_again += 1
                    self.refusals[str(problem.status)] += 1
                    self.without_retry_after += problem.status in COME_BACK and problem.retry_after_s is None
                time.sleep(0.05)
                continue
            if answer["refused"]:
                raise FeedError(f"{len(answer['refused'])} events were refused; the first: {answer['refused'][0]}")
            times -= 1
            with self._lock:
                self.acknowledged.update(event.event_id for event in events)
                self.last_success_began = max(self.last_success_began, began)


class FeedWatch:
    """Somebody who asks for feeds while something is away, and notes what they get."""

    def __init__(self, client: FeedClient, world: World) -> None:
        self._client = client
        self._world = world
        self._lock = threading.Lock()
        self._from, self._until = 0.0, 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="feed-watch", daemon=True)
        self.answered_ms: list[float] = []
        self.failed = self.silent = 0
        self.degraded: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def start(self, after_s: float = 0.0) -> None:
        """Begins to ask; what is answered counts in `after_s`: what is away has to be noticed first."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(time.monotonic() + after_s,), name="feed-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends asking."""
        self._stopping.set()
        self._thread.join()

    def told(self) -> dict[str, Any]:
        """What came of the feeds; "silent" are those that were answered and did not say that anything was missing."""
        p99 = round(float(np.percentile(self.answered_ms, 99)), 2) if self.answered_ms else None
        return {
            "feeds_while_away": len(self.answered_ms) + self.failed,
            "feeds_failed": self.failed,
            "feeds_silent": self.silent,
            "feeds_p99_ms": p99,
            "degraded": dict(self.degraded),
            "failures": dict(self.failures),
        }

    def _ask(self, begin_at: float) -> None:
        people = self._world.people
        asked = 0
        while not self._stopping.wait(_FEED_PAUSE_S):
            asked += 1
            began = time.perf_counter()
            counts = time.monotonic() >= begin_at  # those before are what it is noticed by: a slate that has to wait for the log
            try:
                slate = self._client.feed(people[asked % len(people)].user_id)
            except FeedError as problem:
                if counts:
                    self.failed += 1
                    self.failures[str(problem.status)] += 1
                continue
            if counts:
                self.answered_ms.append((time.perf_counter() - began) * 1000)
                self.failed += not slate["videos"]
                self.silent += not slate["degraded"]
                self.degraded.update(slate["degraded"])

"""How soon an event is in its user's feed and a new video in anybody's, while others send thousands of events a second."""

import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from reelrank.benchmarks.backends import Backend, settings_for
from reelrank.benchmarks.event_load import Batches
from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.processes import CpuShare
from reelrank.benchmarks.scratch import Scratch, TooSlow, scratch_system, second_replica
from reelrank.benchmarks.wires import UnexpectedAnswer, Wires
from reelrank.domain.event import Like, VideoPublished
from reelrank.domain.params import FeedParams
from reelrank.domain.video import Video
from reelrank.features.side_by_side import SideBySide
from reelrank.simulation.client import FeedClient, FeedError
from reelrank.simulation.world import World

_BATCH = 100
_CONNECTIONS = 16
_SLICE_S = 2.0
_SETTLE_S = 3.0  # of background before the first trial
_PAUSE_S = 0.03  # between trials, at most
_GIVE_UP_S = 20.0
_SLATE = 50
# the newest videos come first, so that one is shown as soon as it can be
_NEWEST_FIRST = FeedParams(freshness_weight=1_000.0, freshness_half_life_s=3_600.0)


def measure(
    backend: Backend = "embedded", trials: int = 200, publications: int = 60, rate: float = 5_000.0, videos: int = 1_000, users: int = 2_000, seed: int = 0,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """`rate` events a second go in through the same door meanwhile, whatever becomes of them.

    An event counts from the moment its 202 has arrived until an answer to its user has arrived whose state knows it. A
    video counts from its 202 until it is in an answer of a second replica, which learns of it from the catalogue; half
    of them until it is in one of the replica that took it.
    """
    rng = np.random.default_rng(seed)
    world = World.from_seed(seed, videos=videos, users=users, authors=max(2, videos // 5), now=time.time())
    with (
        tempfile.TemporaryDirectory(prefix="reelrank-servers-", ignore_cleanup_errors=True) as folder,
        settings_for(backend, Path(folder)) as settings,
        scratch_system(msgspec.structs.replace(settings, params=_NEWEST_FIRST), retries=0) as system,
        second_replica(system) as replica,
    ):
        system.publish(list(world.videos))
        with _Background(system, world, seed, rate) as background:
            time.sleep(_SETTLE_S)
            serve, stream = (CpuShare(system.supervisor.pid(role)) for role in ("serve", "stream"))
            asked_for = _Patient()
            feed_ms: list[float] = []
            event_ms: list[float] = []
            accept_ms: list[float] = []
            for trial in range(trials):
                accepted, visible = _event_trial(system.client, world, rng, trial, feed_ms, asked_for)
                accept_ms.append(accepted)
                event_ms.append(visible)
                on_progress(1)
                time.sleep(float(rng.uniform(0, _PAUSE_S)))
            elsewhere_ms: list[float] = []
            here_ms: list[float] = []
            for number in range(publications):
                elsewhere_ms.append(_video_trial(system.client, replica, f"new-{number}", asked_for))
                if number % 2:
                    here_ms.append(_video_trial(system.client, system.client, f"here-{number}", asked_for))
                on_progress(1)
                time.sleep(float(rng.uniform(0, _PAUSE_S)))
            shares = {"serve": serve.so_far(), "stream": stream.so_far()}
        return {
            "event_to_feed_ms": spread(event_ms),
            "video_to_feed_ms": spread(elsewhere_ms),
            "video_to_same_replica_ms": spread(here_ms),
            "feed_ms": spread(feed_ms),
            "accept_ms": spread(accept_ms),
            "feeds_per_event": round(len(feed_ms) / trials, 2),
            "asked_again": asked_for.again,
            "background": background.told(),
            "cpu": shares,
            "backend": backend,
            "trials": trials,
            "publications": publications,
            "rate": rate,
            "videos": videos,
            "users": users,
            "seed": seed,
        }


class _Patient:
    """Asks again while the service says that it is too busy."""

    def __init__(self) -> None:
        self.again = 0

    def until_taken(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The first answer that is none to come back later."""
        deadline = time.monotonic() + _GIVE_UP_S
        while True:
            try:
                return ask()
            except FeedError as problem:
                if problem.status not in (429, 503) or time.monotonic() > deadline:
                    raise
                self.again += 1
                time.sleep(0.02)


class _Background(SideBySide):
    """Batches at a steady rate from a thread that does little else."""

    def __init__(self, system: Scratch, world: World, seed: int, rate: float) -> None:
        super().__init__({"background": self._send})
        batches = Batches(world, seed, _BATCH)
        self._wires = Wires(system.supervisor.url, batches.request, 202, batches.expected())
        self._rate = rate
        self._seconds = 0.0
        self._statuses: dict[int, int] = {}
        self._unsent = 0
        self._request_ms: list[float] = []

    def told(self) -> dict[str, Any]:
        """What was sent and what came of it."""
        return {
            "accepted_per_s": round(len(self._wires.acknowledged) * _BATCH / self._seconds, 1),
            "statuses": {str(status): times for status, times in sorted(self._statuses.items())},
            "unsent": self._unsent,
            "request_ms": spread(self._request_ms),
        }

    def _send(self, ended: threading.Event) -> None:
        with closing(self._wires) as wires:
            while self._rate and not ended.is_set():
                self._seconds += wires.run(_SLICE_S, _CONNECTIONS, self._rate / _BATCH)
                self._request_ms += wires.accepted_ms
                self._unsent += wires.unsent
                for status, times in wires.statuses.items():
                    self._statuses[status] = self._statuses.get(status, 0) + times


def _event_trial(client: FeedClient, world: World, rng: np.random.Generator, trial: int, feed_ms: list[float], asked_for: "_Patient") -> tuple[float, float]:
    """Milliseconds until a like was accepted, and from then until the feed knew of it."""
    person = world.people[int(rng.integers(len(world.people)))]
    video = world.videos[int(rng.integers(len(world.videos)))]
    body = msgspec.json.encode([Like(event_id=f"fresh-{trial}", user_id=person.user_id, video_id=video.video_id)])
    began = time.perf_counter()
    receipt = asked_for.until_taken(lambda: client.post_raw(body))
    accepted = time.perf_counter()
    ((partition, offset),) = receipt["offsets"].items()
    while (asked := time.perf_counter()) - accepted < _GIVE_UP_S:
        slate = asked_for.until_taken(lambda: client.feed(person.user_id))
        answered = time.perf_counter()
        feed_ms.append((answered - asked) * 1000)
        if str(slate["partition"]) != partition:
            raise UnexpectedAnswer(f"the events of {person.user_id} went to partition {partition}, but the feed answers from partition {slate['partition']}")
        if slate["offset"] >= offset:
            return (accepted - began) * 1000, (answered - accepted) * 1000
    raise TooSlow(f"an event at offset {offset} of partition {partition} was not in the feed after {_GIVE_UP_S:.0f} s")


def _video_trial(publisher: FeedClient, viewer: FeedClient, name: str, asked_for: "_Patient") -> float:
    """Milliseconds from the 202 of a new video to the first feed that shows it."""
    video = Video(video_id=name, author_id=f"author of {name}", duration_s=12.0, uploaded_at=time.time())
    asked_for.until_taken(lambda: publisher.post_events([VideoPublished(event_id=f"publish {name}", video=video)]))
    accepted = time.perf_counter()
    while time.perf_counter() - accepted < _GIVE_UP_S:
        slate = asked_for.until_taken(lambda: viewer.feed(f"viewer of {name}", _SLATE))
        if any(shown["video_id"] == name for shown in slate["videos"]):
            return (time.perf_counter() - accepted) * 1000
    raise TooSlow(f"the video {name} was not in a feed after {_GIVE_UP_S:.0f} s")

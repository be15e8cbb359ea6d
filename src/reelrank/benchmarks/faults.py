"""A process is killed under load: no acknowledged event is lost, and the folded state is what the log says, bit for bit."""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from reelrank.benchmarks import refold
from reelrank.benchmarks.made_visits import past_of
from reelrank.benchmarks.report import spread
from reelrank.benchmarks.scratch import Scratch, TooSlow, scratch_system
from reelrank.domain.event import Event, decode_accepted
from reelrank.simulation.client import FeedClient, FeedError
from reelrank.simulation.world import World
from reelrank.storage.event_log import EVENTS

ROLES = ("serve", "stream")
THREADS = 3
_BATCH_VIDEOS = 8  # a visit of so many videos is one batch
_PAUSE_S = 0.01  # between the batches of a thread: leaves the machine room to recover
_SENT_TWICE = 0.1  # share of batches that are sent again although they were acknowledged
_RECOVER_WITHIN_S = 30.0


def measure(rounds: int = 5, seed: int = 0, videos: int = 200, users: int = 300, on_progress: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """Both scenarios, `rounds` kills each."""
    return {
        "scenarios": {role: _scenario(role, rounds, seed + place, videos, users, on_progress) for place, role in enumerate(ROLES)},
        "rounds": rounds,
        "threads": THREADS,
        "videos": videos,
        "users": users,
        "seed": seed,
    }


def _scenario(role: str, rounds: int, seed: int, videos: int, users: int, on_progress: Callable[[int], None]) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    world = World.from_seed(seed, videos=videos, users=users, authors=max(2, videos // 5), now=time.time())
    lost = mismatches = compared = 0
    recover_ms: list[float] = []
    with scratch_system(retries=0) as system:
        system.publish(list(world.videos))
        load = _Load(system.client, world, seed)
        for number in range(rounds):
            load.start()
            time.sleep(float(rng.uniform(0.3, 1.0)))
            recover_ms.append(_kill(system, load, role) * 1000)
            time.sleep(float(rng.uniform(0.2, 0.6)))
            load.stop()
            system.wait_folded()
            lost += len(load.acknowledged - _in_log(system))
            different, looked_at = refold.mismatches(system.inside, Path(system.supervisor.settings.data_dir) / f"folded-again-{number}")
            mismatches, compared = mismatches + different, compared + looked_at
            on_progress(1)
        return {
            "rounds": rounds,
            "acknowledged": len(load.acknowledged),
            "lost": lost,
            "state_mismatches": mismatches,
            "records_compared": compared,
            "restarts": system.supervisor.restarts(role),
            "sent_again": load.sent_again,
            "records_in_log": sum(system.ends()),
            "recover_ms": spread(recover_ms),
        }


class _Load:
    """Threads that post visits without end; a batch is sent, always under the same event ids, until it is acknowledged."""

    def __init__(self, client: FeedClient, world: World, seed: int) -> None:
        self._client = client
        self._world = world
        self._seed = seed
        self._visits = count()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.acknowledged: set[str] = set()
        self.sent_again = 0
        self.last_success_began = 0.0  # when the latest acknowledged request was sent, in `time.perf_counter` seconds
        self.failure: Exception | None = None

    def start(self) -> None:
        self._stopping.clear()
        self._threads = [threading.Thread(target=self._run, name=f"load-{place}") for place in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Returns when every batch that was begun is acknowledged."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                with self._lock:
                    visit = next(self._visits)
                self._post(visit)
                time.sleep(_PAUSE_S)
        except Exception as problem:  # is raised again by stop, in the thread that asks
            self.failure = problem

    def _post(self, visit: int) -> None:
        rng = np.random.default_rng([self._seed, visit])
        traits = self._world.people[int(rng.integers(len(self._world.people)))]
        videos = rng.choice(len(self._world.videos), size=_BATCH_VIDEOS, replace=False).tolist()
        events: list[Event] = list(past_of(self._world, traits, videos, time.time(), rng, f"visit-{visit}"))
        body = msgspec.json.encode(events)
        deadline = time.monotonic() + 2 * _RECOVER_WITHIN_S
        times = 2 if rng.random() < _SENT_TWICE else 1
        while times:
            began = time.perf_counter()
            try:
                answer = self._client.post_raw(body)
            except FeedError as problem:
                if problem.status not in (0, 429, 503) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
                with self._lock:
                    self.sent_again += 1
                continue
            if answer["refused"]:
                raise FeedError(f"{len(answer['refused'])} events were refused; the first: {answer['refused'][0]}")
            times -= 1
            with self._lock:
                self.acknowledged.update(event.event_id for event in events)
                self.last_success_began = max(self.last_success_began, began)


def _kill(system: Scratch, load: _Load, role: str) -> float:
    """Kills a role; the answer is the seconds until its successor has done something: acknowledged a new request, or folded new records."""
    restarts = system.supervisor.restarts(role)
    killed_at = time.perf_counter()
    system.supervisor.kill(role)
    ends = system.ends()
    while (took_s := time.perf_counter() - killed_at) < _RECOVER_WITHIN_S:
        if system.supervisor.restarts(role) > restarts:
            acknowledged = load.last_success_began > killed_at
            folded = any(offset > end for offset, end in zip(system.inside.store.offsets(), ends, strict=True))
            if acknowledged if role == "serve" else folded:
                return took_s
        time.sleep(0.002)
    raise TooSlow(f"{role} was killed and did not work again within {_RECOVER_WITHIN_S:.0f} s; see {system.supervisor.settings.data_dir}/logs/{role}.log")


def _in_log(system: Scratch) -> set[str]:
    """Every event id that the log holds."""
    return {accepted.event.event_id for partition in range(system.inside.log.partitions) for accepted in _records(system, partition)}


def _records(system: Scratch, partition: int) -> Iterator[Any]:
    offset = 0
    while records := system.inside.log.read(EVENTS, partition, offset, 5_000):
        yield from (decode_accepted(record.value) for record in records)
        offset = records[-1].offset + 1

"""Failover: replicas behind HAProxy are killed, started again and restarted in turn, and whoever asks meanwhile does not try again."""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from reelrank.benchmarks.browsers import Browsers, Request
from reelrank.benchmarks.local_server import free_ports_in_a_row
from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.processes import CpuShare
from reelrank.benchmarks.scratch import Scratch, scratch_system
from reelrank.candidates.co_watched import ITEM_TO_ITEM
from reelrank.config import Settings
from reelrank.domain.event import Served, decode_accepted
from reelrank.simulation.past import past_events
from reelrank.simulation.replay import bodies_of
from reelrank.simulation.world import World
from reelrank.storage.event_log import EVENTS, EventLog
from reelrank.supervisor import is_ready

LOAD = 0.7  # of what the replicas can do …
SUSTAINED_MS = 50.0  # … with a p99 of at most that
_TRIED = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)  # of what is answered when nobody waits
_REPLICAS = ("serve", "serve-2")
_ROLES = ("stream", *_REPLICAS)
_HISTORIES_AT_ONCE = 250
_EVENTS_EACH = 20  # in the past of a user
_AT_A_TIME = 8  # requests under way while it is measured what the replicas can do
_BACK_WITHIN_S = 60.0


class _Window(NamedTuple):
    """From when to when, in `time.perf_counter` seconds."""

    began: float
    ended: float


class _Capacity(NamedTuple):
    """What the replicas can do, in requests a second."""

    saturated_per_s: float  # answered when each connection asks again at once
    per_s: float  # sustained, as far as p99_ms says so
    p99_ms: float | None


def measure(
    kills: int = 5, rate: float | None = None, videos: int = 2_000, users: int = 500, connections: int = 64, quiet_s: float = 5.0, seed: int = 0,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """`rate` is in requests a second, half of them slates and half of them events; without it 70 % of what is sustained."""
    settings = msgspec.convert({"serving": {"replica_port": free_ports_in_a_row(len(_REPLICAS))}}, Settings)
    with scratch_system(settings, roles=_ROLES) as system:
        world = _prepare(system, videos, users, seed)
        browsers = Browsers(system.supervisor.url, [person.user_id for person in world.people], connections, seed)
        capacity = None if rate else _capacity(system, browsers, seed, world, quiet_s)
        rate = rate or LOAD * (capacity.per_s if capacity else 0.0)
        own = CpuShare(os.getpid())
        with browsers.at_work(rate / 2):
            began = time.perf_counter()
            time.sleep(quiet_s)
            events: list[_Window] = []
            for number in range(kills):
                events.append(_kill(system, _REPLICAS[number % len(_REPLICAS)]))
                on_progress(1)
                time.sleep(quiet_s)
            system.inside.index_builder.build()
            published = system.inside.artifacts.current(ITEM_TO_ITEM)  # what the restarted ones find is new
            rolling = _Window(time.perf_counter(), 0.0)
            system.supervisor.restart_replicas()
            rolling = rolling._replace(ended=time.perf_counter())
            on_progress(1)
            time.sleep(quiet_s)
            ended = time.perf_counter()
        generator_cpu = own.so_far()
        system.wait_at_rest()
        log = _read(system.inside.log)
    during = [one for one in browsers.requests if one.due >= began]
    in_rolling = _due_in(during, [rolling])
    quiet = [one for one in during if not any(window.began <= one.due < window.ended for window in (*events, rolling))]
    kill_ms, quiet_ms = (spread([one.took_ms for one in some if not one.failure]) for some in (_due_in(during, events), quiet))
    unanswered = log.slates.keys() - browsers.answered
    return {
        "requests": len(during),
        "failed": sum(bool(one.failure) for one in during),
        "kills": len(events),
        "p99_ms": kill_ms["p99"],
        "p50_ms": kill_ms["p50"],
        "max_ms": kill_ms["max"],
        "quiet": {"p50_ms": quiet_ms["p50"], "p99_ms": quiet_ms["p99"], "max_ms": quiet_ms["max"]},
        "served_twice": len(browsers.served_again) + len(unanswered),
        "seen_and_served_again": len(browsers.served_again),
        "counted_unanswered": len(unanswered),
        "recorded_again": sum(times - 1 for times in log.slates.values()),  # under the same name: the folds take the first one
        "events_lost": len(browsers.acknowledged - log.events),
        "slates_lost": len(browsers.answered - log.slates.keys()),  # answered, and the replica was killed before it had written them down
        "rolling": {
            "requests": len(in_rolling),
            "failed": sum(bool(one.failure) for one in in_rolling),
            "p99_ms": spread([one.took_ms for one in in_rolling if not one.failure])["p99"],
            "seconds": round(rolling.ended - rolling.began, 1),
            "new_model": "" if published is None else published.manifest.version,
            "slates_by_it": 0 if published is None else log.models[published.manifest.version],
        },
        "failures": dict(browsers.failures),
        "away_s": [round(window.ended - window.began, 1) for window in events],
        "capacity": capacity and capacity._asdict(),
        "rate_per_s": round(rate, 1),
        "generator_cpu": generator_cpu,
        "seconds": round(ended - began, 1),
        "replicas": len(_REPLICAS),
        "connections": connections,
        "videos": videos,
        "users": users,
        "seed": seed,
    }


def _prepare(system: Scratch, videos: int, users: int, seed: int) -> World:
    """A world with a past that is folded, and an index."""
    now = time.time()
    world = World.from_seed(seed, videos=videos, users=users, authors=max(2, videos // 5), now=now)
    system.publish(list(world.videos))
    for body in bodies_of(past_events(world, np.random.default_rng(seed), now, events=_EVENTS_EACH * users, days=2.0), _HISTORIES_AT_ONCE):
        system.client.post_raw(body.content)
    system.wait_folded()
    system.inside.index_builder.build()
    return world


def _capacity(system: Scratch, browsers: Browsers, seed: int, world: World, seconds: float) -> _Capacity:
    """What is asked for counts with the rest: it was served."""
    eager = Browsers(system.supervisor.url, [person.user_id for person in world.people], _AT_A_TIME, seed)
    with eager.at_work():
        time.sleep(min(2.0, seconds))
        warm = len(eager.requests)
        began = time.perf_counter()
        time.sleep(seconds)
        done = sum(not one.failure for one in eager.requests[warm:]) / (time.perf_counter() - began)
    browsers.answered |= eager.answered
    part, p99 = _TRIED[-1], None
    for part in _TRIED:  # the last one stands if none is sustained
        before = len(browsers.requests)
        with browsers.at_work(part * done / 2):
            time.sleep(seconds)
        tried = browsers.requests[before:]
        p99 = spread([one.took_ms for one in tried if not one.failure])["p99"]
        if p99 is not None and p99 <= SUSTAINED_MS and not any(one.failure for one in tried):
            break
    browsers.failures.clear()
    return _Capacity(round(done, 1), round(part * done, 1), p99)


def _kill(system: Scratch, name: str) -> _Window:
    """Kills a replica with SIGKILL; the window ends once it is ready again."""
    supervisor = system.supervisor
    place = [replica.name for replica in supervisor.replicas].index(name)
    before, began = supervisor.pid(name), time.perf_counter()
    supervisor.kill(name)
    while supervisor.pid(name) == before or not is_ready(supervisor.replica_urls[place]):
        if time.perf_counter() - began > _BACK_WITHIN_S:
            raise TimeoutError(f"{name} did not come back within {_BACK_WITHIN_S:.0f} s; the end of its log:\n{supervisor.last_lines(name)}")
        time.sleep(0.02)
    return _Window(began, time.perf_counter())


def _due_in(requests: Sequence[Request], windows: Sequence[_Window]) -> list[Request]:
    return [one for one in requests if any(window.began <= one.due < window.ended for window in windows)]


class _Log(NamedTuple):
    """What the log holds: how often each slate was recorded, of how many a version of the item-to-item model spoke, and which other events there are."""

    slates: Counter[str]
    models: Counter[str]
    events: set[str]


def _read(log: EventLog) -> _Log:
    found = _Log(Counter(), Counter(), set())
    for partition in range(log.partitions):
        offset = 0
        while records := log.read(EVENTS, partition, offset, 5_000):
            offset = records[-1].offset + 1
            for event in (decode_accepted(record.value).event for record in records):
                if isinstance(event, Served):
                    found.slates[event.request_id] += 1
                    found.models[event.models.get(ITEM_TO_ITEM, "")] += 1
                else:
                    found.events.add(event.event_id)
    return found

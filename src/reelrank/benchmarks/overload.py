"""Three times as much as the service can take: what is accepted stays quick and is kept, the rest is told so at once, memory stays bounded."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

from reelrank.benchmarks.event_load import Batches, not_in_log
from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.processes import CpuShare, MemoryWatch
from reelrank.benchmarks.scratch import Scratch, scratch_system
from reelrank.benchmarks.wires import UnexpectedAnswer, Wires
from reelrank.features.side_by_side import SideBySide
from reelrank.simulation.client import FeedClient, FeedError
from reelrank.simulation.world import World

DoorName = Literal["events", "feed"]
TIMES = 3.0
_USERS = 2_000
_AT_A_TIME = 16  # requests under way while the sustainable rate is looked for
_FEED_PAUSE_S = 0.1  # between the feeds that somebody goes on asking for meanwhile
_REFUSALS = {429, 503}


def measure(
    seconds: float = 60.0, door: DoorName = "events", batch: int = 100, connections: int = 256, videos: int = 1_000, seed: int = 0,
    warm_up_s: float = 3.0, search_s: float = 5.0, on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Load comes at its moments whether or not the service keeps up. A refused request is not sent again."""
    world = World.from_seed(seed, videos=videos, users=_USERS, authors=max(2, videos // 5), now=time.time())
    batches = Batches(world, seed, batch)
    with scratch_system() as system:
        system.publish(list(world.videos))
        url, per_request = system.supervisor.url, batch if door == "events" else 1
        wires = Wires(url, batches.request, 202, batches.expected()) if door == "events" else Wires(url, _feeds_of(world, seed), 200)
        sustainable = _sustainable_per_s(wires, warm_up_s, search_s)
        offered = TIMES * sustainable
        serve = system.supervisor.pid("serve")
        before = len(wires.acknowledged)
        client, server = CpuShare(os.getpid()), CpuShare(serve)
        with MemoryWatch(serve) as memory, _Onlooker(url, world.people[0].user_id) as onlooker:
            took_s = wires.run(seconds, connections, offered, on_progress)
        client_cpu, server_cpu = client.so_far(), server.so_far()
        wires.close()
        if system.supervisor.restarts("serve") or set(wires.statuses) - {wires.accepted, *_REFUSALS}:
            raise UnexpectedAnswer(f"the answers were {dict(wires.statuses)}; see {system.supervisor.settings.data_dir}/logs/serve.log")
        lost = not_in_log(system.inside.log, wires.acknowledged, batch) if door == "events" else 0
        latency = spread(wires.accepted_ms)
        return {
            "accepted": (len(wires.acknowledged) - before) * per_request,
            "refused": sum(wires.statuses[status] for status in _REFUSALS) * per_request,
            "lost": lost,
            "accepted_p50_ms": latency["p50"],
            "accepted_p99_ms": latency["p99"],
            "accepted_max_ms": latency["max"],
            "refused_p99_ms": spread(wires.other_ms)["p99"],
            "peak_mib": memory.peak_mib,
            "peak_resident_mib": memory.peak_resident_mib,
            "growth_mib": memory.growth_mib,
            "sustainable_per_s": round(sustainable * per_request, 1),
            "offered_per_s": round(offered * per_request, 1),
            "accepted_per_s": round((len(wires.acknowledged) - before) * per_request / took_s, 1),
            "unsent": wires.unsent * per_request,
            "statuses": {str(status): count for status, count in sorted(wires.statuses.items())},
            "acknowledged": len(wires.acknowledged) * per_request,
            "feeds_meanwhile": onlooker.told(),
            "backlog": _backlog(system),
            "client_cpu": client_cpu,
            "server_cpu": server_cpu,
            "door": door,
            "times": TIMES,
            "seconds": round(took_s, 1),
            "batch": batch,
            "connections": connections,
            "videos": videos,
            "users": _USERS,
            "seed": seed,
        }


def _sustainable_per_s(wires: Wires, warm_up_s: float, search_s: float) -> float:
    """Requests a second that are accepted when the next one is sent as soon as one is answered."""
    wires.run(warm_up_s, _AT_A_TIME)
    took_s = wires.run(search_s, _AT_A_TIME)
    return len(wires.accepted_ms) / took_s


def _feeds_of(world: World, seed: int) -> Callable[[int], bytes]:
    """Feed requests of the people of a world, by number."""
    who = np.random.default_rng(seed).integers(len(world.people), size=997).tolist()
    asked = [f"GET /v1/feed?user_id={quote(world.people[row].user_id)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for row in who]
    return lambda number: asked[number % len(asked)]


def _backlog(system: Scratch) -> int:
    """Records that the stream has yet to fold."""
    return sum(end - offset for end, offset in zip(system.ends(), system.inside.store.offsets(), strict=True))


class _Onlooker(SideBySide):
    """Somebody who asks for a feed ten times a second while others overload the service."""

    def __init__(self, url: str, user_id: str) -> None:
        super().__init__({"onlooker": self._ask})
        self._url = url
        self._user_id = user_id
        self._answered_ms: list[float] = []
        self._refused = self._degraded = 0

    def told(self) -> dict[str, Any]:
        """What came of the feeds."""
        latency = spread(self._answered_ms)
        return {"answered": len(self._answered_ms), "refused": self._refused, "degraded": self._degraded, "p50_ms": latency["p50"], "p99_ms": latency["p99"]}

    def _ask(self, ended: threading.Event) -> None:
        with FeedClient(self._url, retries=0) as client:
            while not ended.wait(_FEED_PAUSE_S):
                began = time.perf_counter()
                try:
                    slate = client.feed(self._user_id)
                except FeedError as problem:
                    if problem.status not in _REFUSALS:
                        raise
                    self._refused += 1
                else:
                    self._answered_ms.append((time.perf_counter() - began) * 1000)
                    self._degraded += bool(slate["degraded"])

"""What is broken under load, and how long it takes until everything works again once it is mended."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from operator import ge, gt
from typing import Protocol

import numpy as np

from reelrank.benchmarks.backends import Servers
from reelrank.benchmarks.fault_load import FeedWatch, Load
from reelrank.benchmarks.scratch import Scratch, TooSlow
from reelrank.benchmarks.small_disk import SmallDisk
from reelrank.storage.event_log import StorageError

RECOVER_WITHIN_S = 30.0
_NOTICED_S = 1.5  # after this a feed has to say that something is away
_AWAY_S = (3.0, 5.0)
_FULL_WITHIN_S = 20.0
_LOOK_S = 0.005


class Server(Protocol):
    """A server that can be taken away and comes back with its data."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Site:
    """Where something is broken, and what goes on there."""

    system: Scratch
    load: Load
    feeds: FeedWatch
    rng: np.random.Generator
    servers: Servers | None = None
    disk: SmallDisk | None = None


Break = Callable[[Site, int], float]  # breaks something for the n-th time and mends it; the answer is the seconds it took to recover


def kill_process(process: str) -> Break:
    """SIGKILL; recovered once its successor, or whoever takes over from it, has done something in every partition."""

    def once(site: Site, _number: int) -> float:
        supervisor = site.system.supervisor
        restarts, ends = supervisor.restarts(process), site.system.ends()
        killed_at = time.perf_counter()
        supervisor.kill(process)
        if process == "serve":
            return _until(site, lambda: supervisor.restarts(process) > restarts and site.load.last_success_began > killed_at, killed_at, process)
        return _until(site, lambda: all(map(gt, site.system.inside.store.offsets(), ends)), killed_at, process)

    return once


def take_away(server: Callable[[Servers], Server], killed: Callable[[int], bool] = lambda _: False, within_s: tuple[float, float] = _AWAY_S) -> Break:
    """A server is stopped (killed in the rounds that `killed` says) and started again; recovered once something new is acknowledged and all is folded."""

    def once(site: Site, number: int) -> float:
        assert site.servers is not None
        taken = server(site.servers)
        taken.kill() if killed(number) else taken.stop()
        site.feeds.start(_NOTICED_S)  # not before it is gone: on a busy machine it takes seconds to stop, and works until then
        try:
            time.sleep(float(site.rng.uniform(*within_s)))
        finally:
            site.feeds.stop()
            taken.start()
        return _recovered(site)

    return once


def fill_disk(site: Site, _number: int) -> float:
    """The disk of the log is full until batches are refused and a while longer, then it has room again (a broker that gave up is started again)."""
    assert site.disk is not None
    refused = site.load.sent_again
    site.disk.fill()
    deadline = time.monotonic() + _FULL_WITHIN_S
    while site.load.sent_again == refused:
        if time.monotonic() > deadline:
            raise TooSlow(f"the disk of the log is full, and yet no batch was refused for {_FULL_WITHIN_S:.0f} s")
        time.sleep(_LOOK_S)
    site.feeds.start(_NOTICED_S)
    time.sleep(float(site.rng.uniform(*_AWAY_S)))
    site.feeds.stop()
    site.disk.free()
    if site.servers is not None:
        site.servers.kafka.kill()
        site.servers.kafka.start()
    return _recovered(site)


def _recovered(site: Site) -> float:
    """From now until a batch sent from now on is acknowledged, and everything in the log by then is folded."""
    returned = time.perf_counter()
    _until(site, lambda: site.load.last_success_began > returned, returned, "serve")
    ends: list[tuple[int, ...]] = []

    def folded() -> bool:
        if not ends:
            ends.append(site.system.ends())
        inside = site.system.inside
        return all(map(ge, inside.store.offsets(), ends[0])) and all(map(ge, inside.counters.position().origins, ends[0]))

    return _until(site, folded, returned, "stream")


def _until(site: Site, holds: Callable[[], bool], since: float, role: str) -> float:
    """Seconds from `since` until it holds; what can't be asked just now does not hold."""
    while (took_s := time.perf_counter() - since) < RECOVER_WITHIN_S:
        with suppress(StorageError):
            if holds():
                return time.perf_counter() - since
        time.sleep(_LOOK_S)
    lines = site.system.supervisor.last_lines(role)
    raise TooSlow(f"{role} did not work again within {took_s:.0f} s; the end of its log:\n{lines}")

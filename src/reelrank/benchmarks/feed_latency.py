"""A feed under load: HAProxy, replicas and the published ranker over a large world, latency from when each request was due, and where the time goes."""

import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from operator import ge
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families
from urllib3 import PoolManager

from reelrank.benchmarks import feed_load
from reelrank.benchmarks.feed_load import Answered, Asked
from reelrank.benchmarks.large_world import LargeWorld, open_world
from reelrank.benchmarks.local_server import free_port, free_ports_in_a_row
from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.processes import cpu_s, proportional_mib, run_ms
from reelrank.config import Settings
from reelrank.storage.event_log import EVENTS
from reelrank.supervisor import PROXY, Supervisor, running
from reelrank.wiring import open_reelrank

Caches = Literal["on", "off"]
OnProgress = Callable[[int], None]

_ALONE = 150  # requests one after the other, for the CPU of one
_WARM_UP_S, _WARM_UP_RATE = 6.0, 40.0
_FOLDED_WITHIN_S = 2.0
_STAGES = "reelrank_feed_stage_seconds"


def measure(
    videos: int = 20_000, users: int = 2_000, rate: float = 20.0, seconds: float = 15.0, caches: Caches = "on", replicas: int = 2,
    events_per_s: float = 1_000.0, count: int = 10, seed: int = 0, folder: Path | None = None, on_progress: OnProgress = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Asks for `rate` feeds a second, of users drawn by Zipf's law, while `events_per_s` events are folded.

    `folder` keeps the world for the next time. With `caches` off nothing is kept of a user between two requests.
    """
    with world_in(folder, videos, users, seed, on_progress) as (home, world):
        settings = serving_settings(world, home, caches, replicas)
        names = [f"serve-{number}" if number > 1 else "serve" for number in range(1, replicas + 1)]
        began = time.perf_counter()
        with running(settings, ("stream", *names)) as supervisor:
            ready_s = time.perf_counter() - began
            load = Asked(
                url=supervisor.url, user_ids=world.user_ids(), rate=rate, seconds=seconds, events_per_s=events_per_s, videos=videos, count=count, seed=seed + 1
            )
            feed_load.run(msgspec.structs.replace(load, rate=_WARM_UP_RATE, seconds=_WARM_UP_S, events_per_s=0.0, seed=seed + 2))
            alone = _alone(supervisor, names, load, seed)
            before, cpu = _Figures.of(supervisor), _cpu(supervisor, names)
            answered = feed_load.run(load)
            spent = {name: cpu_s(supervisor.pid(name)) - used for name, used in cpu.items()}
            after = _Figures.of(supervisor)
            folded = _folded(supervisor)
            pids = [supervisor.pid(name) for name in supervisor.names]
            gc.collect()  # what this process still maps of the world would make the others' share of it smaller
            peak_mib = round(sum(map(proportional_mib, pids)), 1)
            on_progress(round(rate * seconds))
    return {
        **_numbers(answered, before, after),
        "cpu_ms_per_request": round(float(np.median(alone)), 2),
        "cpu_ms": spread(alone),
        "cpu_share": {**{name: round(used / answered.took_s, 3) for name, used in spent.items()}, "generator": answered.cpu_share},
        "events_per_s": round(answered.events / answered.took_s, 1),
        "folded_at_the_end": folded,
        "peak_mib": peak_mib,
        "ready_s": round(ready_s, 2),
        "caches": caches,
        "videos": videos,
        "users": users,
        "rate": rate,
        "seconds": seconds,
        "replicas": replicas,
        "count": count,
        "seed": seed,
        "world": world.about,
    }


@contextmanager
def world_in(folder: Path | None, videos: int, users: int, seed: int, on_progress: OnProgress) -> Iterator[tuple[Path, LargeWorld]]:
    """A world and where it lies: in `folder`, or as long as the block takes."""
    if folder is not None:
        yield folder, open_world(folder, videos, users, seed, on_progress)
        return
    with tempfile.TemporaryDirectory(prefix="reelrank-bench-", ignore_cleanup_errors=True) as made:
        yield Path(made), open_world(Path(made), videos, users, seed, on_progress)


def serving_settings(world: LargeWorld, home: Path, caches: Caches, replicas: int) -> Settings:
    """The settings that a world is served with, on ports that are free."""
    settings = world.settings(home)
    serving = msgspec.structs.replace(settings.serving, host="127.0.0.1", port=free_port(), replica_port=free_ports_in_a_row(replicas))
    settings = msgspec.structs.replace(settings, serving=serving)
    if caches == "on":
        return settings
    return msgspec.structs.replace(settings, feed=msgspec.structs.replace(settings.feed, page_mib=0.0, kept_histories_mib=0))


def _alone(supervisor: Supervisor, names: list[str], load: Asked, seed: int) -> list[float]:
    """The CPU milliseconds of requests that nothing else is beside: of the replicas and of the proxy."""
    pids = [supervisor.pid(name) for name in names] + ([supervisor.pid(PROXY)] if PROXY in supervisor.names else [])
    http, spent = PoolManager(), list[float]()
    for user_id in np.random.default_rng(seed).choice(load.user_ids, _ALONE).tolist():
        before = sum(map(run_ms, pids))
        answer = http.request("GET", f"{load.url}/v1/feed?user_id={quote(user_id)}&count={load.count}")
        assert answer.status == 200, answer.data
        spent.append(sum(map(run_ms, pids)) - before)
    return spent


def _cpu(supervisor: Supervisor, names: list[str]) -> dict[str, float]:
    return {name: cpu_s(supervisor.pid(name)) for name in (*names, "stream", *([PROXY] if PROXY in supervisor.names else []))}


def _folded(supervisor: Supervisor) -> bool:
    """Whether the stream kept up: everything is folded moments after the load."""
    with closing(open_reelrank(supervisor.settings)) as system:
        log, deadline = system.log, time.monotonic() + _FOLDED_WITHIN_S
        ends = tuple(log.end(EVENTS, partition) for partition in range(log.partitions))
        while time.monotonic() < deadline:
            if all(map(ge, system.store.offsets(), ends)) and all(map(ge, system.counters.position().origins, ends)):
                return True
            time.sleep(0.05)
        return False


class _Figures:
    """What the replicas counted: per stage the seconds it took in all and how often it ran, and per sample its value."""

    def __init__(self) -> None:
        self.stages: dict[str, NDArray[np.float64]] = {}
        self.counts: dict[str, float] = {}

    @classmethod
    def of(cls, supervisor: Supervisor) -> "_Figures":
        figures, http = cls(), PoolManager()
        for url in supervisor.replica_urls:
            for family in text_string_to_metric_families(http.request("GET", f"{url}/metrics").data.decode()):
                for sample in family.samples:
                    place = {f"{_STAGES}_sum": 0, f"{_STAGES}_count": 1}.get(sample.name)
                    if place is not None:
                        figures.stages.setdefault(sample.labels["stage"], np.zeros(2))[place] += sample.value
                    name = " ".join([sample.name, *sample.labels.values()])
                    figures.counts[name] = figures.counts.get(name, 0.0) + sample.value
        return figures

    def since(self, before: "_Figures", name: str) -> float:
        return self.counts.get(name, 0.0) - before.counts.get(name, 0.0)


def _numbers(answered: Answered, before: _Figures, after: _Figures) -> dict[str, Any]:
    spent = {stage: figures - before.stages.get(stage, np.zeros(2)) for stage, figures in after.stages.items()}
    pages = [after.since(before, f"reelrank_pages_asked_total {found}") for found in ("yes", "no")]
    histories = [after.since(before, f"reelrank_ranker_histories_total {encoded}") for encoded in ("nothing", "new", "all")]
    return {
        "requests": len(answered.latency_ms),
        "requests_per_s": round(len(answered.latency_ms) / answered.took_s, 1),
        "latency_ms": spread(answered.latency_ms),
        "errors": sum(answered.errors.values()),
        "errors_by_kind": answered.errors,
        "degraded": sum(answered.degraded.values()),
        "degraded_parts": answered.degraded,
        "ranked_by": answered.ranked_by,
        "asked_by_users": answered.users,
        "cache_hit_rate": round(pages[0] / sum(pages), 3) if sum(pages) else 0.0,
        "history_hit_rate": round(sum(histories[:2]) / sum(histories), 3) if sum(histories) else 0.0,
        "stage_ms": {stage: round(float(seconds / times * 1000), 3) for stage, (seconds, times) in spent.items() if times},
    }

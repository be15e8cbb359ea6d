"""How many events a second become durable through HTTP, next to the bare log taking the same records, as many at a time."""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reelrank.benchmarks.backends import Backend, settings_for
from reelrank.benchmarks.event_load import Batches, not_in_log
from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.processes import CpuShare
from reelrank.benchmarks.scratch import scratch_system
from reelrank.benchmarks.wires import UnexpectedAnswer, Wires
from reelrank.simulation.world import World
from reelrank.storage.event_log import EVENTS, EventLog

_USERS = 2_000
_WARM_UP_S = 3.0
_RAW_SHARE = 0.25  # of the measured time, once before and once after it, goes to the bare log


def measure(
    backend: Backend = "embedded", seconds: float = 12.0, batch: int = 100, connections: int = 16, videos: int = 1_000, seed: int = 0,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Posts batches over `connections` that never pause; only the role `serve` runs."""
    world = World.from_seed(seed, videos=videos, users=_USERS, authors=max(2, videos // 5), now=time.time())
    batches = Batches(world, seed, batch)
    with (
        tempfile.TemporaryDirectory(prefix="reelrank-servers-", ignore_cleanup_errors=True) as folder,
        settings_for(backend, Path(folder)) as settings,
        scratch_system(settings, roles=("serve",)) as system,
    ):
        system.publish(list(world.videos))
        threads = settings.serving.event_threads
        raw = _raw_append_per_s(system.inside.log, batches, threads, connections, _RAW_SHARE * seconds)
        wires = Wires(system.supervisor.url, batches.request, 202, batches.expected())
        wires.run(min(_WARM_UP_S, seconds), connections)
        before = len(wires.acknowledged)
        client, server = CpuShare(os.getpid()), CpuShare(system.supervisor.pid("serve"))
        took_s = wires.run(seconds, connections, on_progress=on_progress)
        client_cpu, server_cpu = client.so_far(), server.so_far()
        wires.close()
        if set(wires.statuses) - {202, 429}:
            raise UnexpectedAnswer(f"the batches were answered with {dict(wires.statuses)}; see {system.supervisor.settings.data_dir}/logs/serve.log")
        raw_again = _raw_append_per_s(system.inside.log, batches, threads, connections, _RAW_SHARE * seconds)
        lost = not_in_log(system.inside.log, wires.acknowledged, batch)
        log_bytes = sum(len(record.value) for record in batches.records(0))
    durable, raw_append = (len(wires.acknowledged) - before) * batch / took_s, (raw + raw_again) / 2
    return {
        "durable_events_per_s": round(durable, 1),
        "ratio_to_raw_append": round(durable / raw_append, 3),
        "raw_append_per_s": round(raw_append, 1),
        "raw_append_runs": [round(raw, 1), round(raw_again, 1)],
        "raw_append_threads": threads,
        "request_ms": spread(wires.accepted_ms),
        "refused": wires.statuses[429] * batch,
        "lost": lost,
        "acknowledged": len(wires.acknowledged) * batch,
        "client_cpu": client_cpu,
        "server_cpu": server_cpu,
        "body_bytes": round(batches.body_bytes),
        "record_bytes": round(log_bytes / batch),
        "backend": backend,
        "batch": batch,
        "connections": connections,
        "seconds": round(took_s, 2),
        "videos": videos,
        "users": _USERS,
        "seed": seed,
    }


def _raw_append_per_s(log: EventLog, batches: Batches, threads: int, under_way: int, seconds: float) -> float:
    """Events a second that one process appends, from as many threads as the collector has and with as many batches under way as there are connections."""
    together = max(1, under_way // threads)
    groups = [[record for number in range(start, start + together) for record in batches.records(number)] for start in range(0, 200, together)]
    appended = [0] * threads
    began = time.perf_counter()

    def append(thread: int) -> None:
        turn = thread
        while time.perf_counter() - began < seconds:
            records = groups[turn % len(groups)]
            log.append(EVENTS, records)
            appended[thread] += len(records)
            turn += threads

    running = [threading.Thread(target=append, args=(thread,), name=f"raw-append-{thread}") for thread in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(appended) / (time.perf_counter() - began)

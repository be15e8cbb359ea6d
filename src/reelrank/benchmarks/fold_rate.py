"""How many events a second one stream folds from a backlog, how that time is spent, and what users and videos take in the stores."""

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reelrank.benchmarks.backends import Backend, settings_for
from reelrank.benchmarks.fold_process import fold_backlog
from reelrank.benchmarks.full_state import state_steps, weigh
from reelrank.benchmarks.made_log import as_records, made_events, made_videos, publish
from reelrank.benchmarks.scratch import in_folder
from reelrank.config import Settings
from reelrank.domain.video import Video
from reelrank.storage.event_log import EVENTS
from reelrank.wiring import Reelrank, open_reelrank

LARGE = 1_000_000  # users, and videos
_AT_ONCE = 20_000  # records appended together


def measure(
    backend: Backend = "embedded", events: int = 1_000_000, users: int = 100_000, videos: int = 20_000, full: int = 20_000,
    large: int = 0, seed: int = 0, on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """A backlog is folded by one process; then `full` users and videos are written and weighed, and `large` more if any are wanted."""
    with tempfile.TemporaryDirectory(prefix="reelrank-servers-", ignore_cleanup_errors=True) as folder, settings_for(backend, Path(folder)) as settings:
        told = _folded(settings, Path(folder) / "backlog", events, users, videos, seed, on_progress)
    state = weigh(backend, full, seed, on_progress=on_progress)
    return {
        **told,
        "bytes_per_user": state["bytes_per_user"],
        "bytes_per_video": state["bytes_per_video"],
        "state": state,
        **({"large": weigh(backend, large, seed, directly=True, on_progress=on_progress)} if large else {}),
        "backend": backend,
        "users_in_log": users,
        "videos": videos,
        "seed": seed,
    }


def steps(events: int, full: int, large: bool) -> int:
    """How far `on_progress` counts."""
    return 2 * events + state_steps(full) + (state_steps(LARGE, directly=True) if large else 0)


def _folded(settings: Settings, folder: Path, events: int, users: int, videos: int, seed: int, on_progress: Callable[[int], None]) -> dict[str, Any]:
    settings = in_folder(folder, settings)
    now = time.time()
    made = made_videos(videos, now, seed)
    system = open_reelrank(settings)
    try:
        publish(system.catalog, made)
        bytes_in_log = _append(system, events, users, made, now, seed, on_progress)
    finally:
        system.close()
    found = fold_backlog(settings)
    on_progress(events)
    folding_s, cpu_s = found["folding_s"], found["cpu_s"]
    return {
        "folded_events_per_s": round(found["events"] / folding_s, 1),
        "users_events_per_s": round(found["events"] / found["users_s"], 1),
        "counters_events_per_s": round(found["events"] / found["counters_s"], 1),
        "events_per_cpu_s": round(found["events"] / cpu_s, 1),
        "events": found["events"],
        "folding_s": round(folding_s, 2),
        "cpu_s": round(cpu_s, 2),
        "joining_s": round(found["joining_s"], 2),
        "peak_mib": round(found["peak_mib"], 1),
        "bytes_per_event": round(bytes_in_log / events),
        "profile": found["profile"],
        "batches": {"users": found["users"], "counters": found["counters"]},
    }


def _append(system: Reelrank, events: int, users: int, videos: list[Video], now: float, seed: int, on_progress: Callable[[int], None]) -> int:
    """Writes the backlog; returns its bytes."""
    records = as_records(made_events(events, users, videos, now, seed=seed), now)
    written = 0
    while batch := list(itertools.islice(records, _AT_ONCE)):
        system.log.append(EVENTS, batch)
        written += sum(len(record.value) for record in batch)
        on_progress(len(batch))
    return written

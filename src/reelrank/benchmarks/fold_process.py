"""The role `stream` in a process of its own, watched while it folds a backlog: how fast, in what batches, and where the time goes."""

import multiprocessing
import os
import resource
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from multiprocessing.connection import Connection
from operator import ge
from typing import Any, cast

import msgspec
import numpy as np

from reelrank.benchmarks.stack_samples import StackSamples
from reelrank.config import Settings
from reelrank.features.stream import FOLLOWERS
from reelrank.storage.counter_store import CounterStore, Keys, Kind, Position
from reelrank.storage.event_log import EVENTS, EventLog
from reelrank.storage.online_store import OnlineStore
from reelrank.supervisor import die_with_supervisor
from reelrank.wiring import Reelrank

# what a function is about, by the beginning of (module, function); the innermost that is named here counts
_STAGES = {
    ("reelrank.storage.event_log", "", "append"): "append signals",
    ("reelrank.storage.event_log", "", "read"): "read the log",
    ("reelrank.storage.event_log", "", "wait"): "wait for news",
    ("reelrank.storage.event_log", "", "end"): "wait for news",
    ("reelrank.storage.event_log", "", "partitions"): "take part in the group",
    ("reelrank.storage.online_store", "", "read"): "users: read",
    ("reelrank.storage.online_store", "", "commit"): "users: commit",
    ("reelrank.storage.online_store", "", "recent"): "users: known events",
    ("reelrank.storage.counter_store", "", "read"): "counters: read",
    ("reelrank.storage.counter_store", "", "commit"): "counters: commit",
    ("reelrank.features.repeats", "", "fingerprint"): "users: fingerprints",
    ("reelrank.features.repeats", "", "first_time"): "users: repeats",
    ("reelrank.features.user_fold", "", "_decoded"): "users: decode events",
    ("reelrank.features.user_fold", "_Batch", "take"): "users: go through events",
    ("reelrank.features.user_fold", "_Batch", "records"): "users: new records",
    ("reelrank.features.user_changes", "", "applied_to"): "users: new records",
    ("reelrank.features.signals", "BlockBuilder", "block"): "users: make signals",
    ("reelrank.features.signals", "", "encode_block"): "users: make signals",
    ("reelrank.features.signals", "", "decode_block"): "counters: decode signals",
    ("reelrank.features.signals", "Block", "since"): "counters: decode signals",
    ("reelrank.features.packing", "", "unpack"): "counters: unpack",
    ("reelrank.features.packing", "", "pack"): "counters: pack",
    ("reelrank.features.windows", "", "fold"): "counters: count",
    ("reelrank.features.counter_fold", "", "_folded"): "counters: count",
}


def stage_of(module: str, function: str) -> str | None:
    """The stage that a function of the stream is, None if it is part of what called it."""
    parts = function.split(".")
    for (module_start, owner, name), stage in _STAGES.items():
        if name in parts and module.startswith(module_start) and (not owner or owner == parts[0]):
            return stage
    return None


def fold_backlog(settings: Settings, within_s: float = 900.0) -> dict[str, Any]:
    """Folds what the log holds in a process of its own, and returns when it has left; the figures are that process's."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_fold, args=(msgspec.json.encode(settings), theirs, os.getpid()), name="stream")
    process.start()
    theirs.close()
    try:
        if not ours.poll(within_s):
            raise TimeoutError(f"the stream has not folded the backlog within {within_s:.0f} s")
        return ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the stream ended with exit code {process.exitcode} before it had folded the backlog") from None
    finally:
        process.kill()
        process.join()


def _fold(encoded: bytes, told: Connection, parent: int) -> None:
    os.environ["REELRANK_SUPERVISED"] = str(parent)
    die_with_supervisor()
    system = _Watched(msgspec.json.decode(encoded, type=Settings))
    try:
        told.send(_figures(system))
    finally:
        system.close()


class _Watched(Reelrank):
    """A deployment that notes what is committed to its stores."""

    @cached_property
    def store(self) -> OnlineStore:
        return _WatchedStore(super().store)

    @cached_property
    def counters(self) -> CounterStore:
        return cast(CounterStore, _WatchedCounters(super().counters))


class _WatchedStore:
    """Passes everything on to an OnlineStore."""

    def __init__(self, store: OnlineStore) -> None:
        self._store = store
        self.partitions = store.partitions
        self.read, self.scan_users, self.offsets, self.close = store.read, store.scan_users, store.offsets, store.close
        self.folded = list(store.offsets())
        self.events: list[int] = []  # of each commit
        self.users: list[int] = []
        self.first_look_at = 0.0  # once it knows which partitions are its own
        self.last_commit_at = 0.0

    def recent(self, partition: int) -> tuple[int, int, bytes]:
        self.first_look_at = self.first_look_at or time.perf_counter()
        return self._store.recent(partition)

    def commit(self, partition: int, folded_from: int, folded_to: int, users: Mapping[str, bytes], fingerprints: bytes) -> None:
        self._store.commit(partition, folded_from, folded_to, users, fingerprints)
        self.last_commit_at = time.perf_counter()
        self.folded[partition] = folded_to
        self.events.append(folded_to - folded_from)
        self.users.append(len(users))


class _WatchedCounters:
    """Passes everything on to a CounterStore."""

    def __init__(self, counters: CounterStore) -> None:
        self._counters = counters
        self.folded = counters.position().origins
        self.events: list[int] = []  # of each commit
        self.keys: list[int] = []
        self.last_commit_at = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._counters, name)

    def commit(self, before: Position, after: Position, records: Mapping[Kind, tuple[Keys, Sequence[bytes]]]) -> None:
        self._counters.commit(before, after, records)
        self.last_commit_at = time.perf_counter()
        self.folded = after.origins
        self.events.append(sum(after.origins) - sum(before.origins))
        self.keys.append(sum(len(keys) for keys, _ in records.values()))


def _figures(system: _Watched) -> dict[str, Any]:
    stream, store, counters = system.stream, cast(_WatchedStore, system.store), cast(_WatchedCounters, system.counters)
    ends = _ends(system.log)
    events = sum(ends) - sum(store.folded)
    began, cpu_began = time.perf_counter(), time.process_time()
    with StackSamples(stage_of, FOLLOWERS) as samples:
        stream.follow(lambda: all(map(ge, store.folded, ends)) and all(map(ge, counters.folded, ends)))
        cpu_s = time.process_time() - cpu_began
    profile = samples.seconds()
    folding_s = max(store.last_commit_at, counters.last_commit_at) - store.first_look_at
    return {
        "events": events,
        "folding_s": folding_s,
        "joining_s": store.first_look_at - began,
        "cpu_s": cpu_s,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "users_s": _of(profile, "users", "read the log", "append signals"),
        "counters_s": _of(profile, "counters"),
        "profile": profile,
        "users": {"commits": len(store.events), "events": _middle(store.events), "distinct_users": _middle(store.users), "written": sum(store.users)},
        "counters": {
            "commits": len(counters.events),
            "events": _middle(counters.events),
            "distinct_keys": _middle(counters.keys),
            "written": sum(counters.keys),
        },
    }


def _ends(log: EventLog) -> list[int]:
    return [log.end(EVENTS, partition) for partition in range(log.partitions)]


def _of(profile: Mapping[str, float], *beginnings: str) -> float:
    return sum(seconds for stage, seconds in profile.items() if stage.startswith(beginnings))


def _middle(values: Sequence[int]) -> int:
    """Of a commit in the middle of the others."""
    return int(np.median(values)) if values else 0

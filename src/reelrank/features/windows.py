"""Counters over sliding windows, as rings of integer buckets of event time.

A ring forgets by overwriting, so that a fold gives the same state in whatever order events arrive:
each bucket holds the sum of its own events, the newest buckets stay, what is older than the ring is dropped.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from reelrank.storage.online_store import Counters


class Counter(IntEnum):
    """What is counted, in the order of the stored columns."""

    IMPRESSIONS = 0
    CLICKS = 1  # watches that were no skip
    SKIPS = 2
    LONG_VIEWS = 3
    COMPLETIONS = 4
    LIKES = 5  # less those taken back
    SHARES = 6
    FOLLOWS = 7
    COMMENTS = 8
    HIDES = 9  # reports included
    REPLAYS = 10
    WATCHED_DS = 11  # tenths of a second


COUNTERS = len(Counter)

# (seconds of a bucket, buckets in the ring)
_RINGS = ((60, 5), (300, 12), (10_800, 8), (86_400, 7))
WINDOWS = {"5min": (0, 5), "1h": (1, 12), "1d": (2, 8), "7d": (3, 7)}  # name -> (ring, buckets)

_TOTAL_AT = len(_RINGS)  # a record is: the newest bucket of each ring, the totals, then the rings
_RING_AT = [_TOTAL_AT + COUNTERS + COUNTERS * sum(slots for _, slots in _RINGS[:ring]) for ring in range(len(_RINGS))]
WIDTH = _TOTAL_AT + COUNTERS + COUNTERS * sum(slots for _, slots in _RINGS)

_MOST = np.iinfo(np.int32).max

Windowed = NDArray[np.int64]  # (n, COUNTERS)


def add(state: Counters, places: NDArray[np.int64], occurred_at: NDArray[np.float64], counters: NDArray[np.int64], amounts: NDArray[np.int64]) -> Counters:
    """Folds m increments into n records and returns the new records.

    `state` (n, WIDTH); increment j adds `amounts[j]` to counter `counters[j]` of record `places[j]`, in the
    buckets of `occurred_at[j]` (UTC seconds). The order of the increments makes no difference.
    """
    state = state.copy()
    flat = state.reshape(-1)
    grown = state[:, _TOTAL_AT : _TOTAL_AT + COUNTERS].astype(np.int64)
    np.add.at(grown.reshape(-1), places * COUNTERS + counters, amounts)
    state[:, _TOTAL_AT : _TOTAL_AT + COUNTERS] = np.minimum(grown, _MOST)  # rather stand still than wrap around
    seconds = occurred_at.astype(np.int64)
    for ring, (bucket_s, slots) in enumerate(_RINGS):
        buckets = seconds // bucket_s
        newest_before = state[:, ring].astype(np.int64)
        newest = newest_before.copy()
        np.maximum.at(newest, places, buckets)
        _clear_outdated(state, ring, newest_before, newest)
        state[:, ring] = newest
        inside = buckets > newest[places] - slots
        target = places * WIDTH + _RING_AT[ring] + (buckets % slots) * COUNTERS + counters
        cells, parts = np.unique(target[inside], return_inverse=True)
        flat[cells] = np.minimum(flat[cells] + np.bincount(parts, weights=amounts[inside]), _MOST)  # in float64, exact far beyond int32
    return state


def totals(state: Counters) -> Windowed:
    """All that was ever counted: (n, COUNTERS)."""
    return state[:, _TOTAL_AT : _TOTAL_AT + COUNTERS].astype(np.int64)


def window(state: Counters, name: str, now: float | NDArray[np.float64]) -> Windowed:
    """What was counted in the window `name` before `now` (UTC seconds, one or (n,)): (n, COUNTERS).

    A window is made of whole buckets and ends with the one that `now` lies in.
    """
    ring, wanted = WINDOWS[name]
    bucket_s, slots = _RINGS[ring]
    current = np.asarray(now, dtype=np.float64).astype(np.int64) // bucket_s
    held = _held_buckets(state[:, ring].astype(np.int64), slots)  # (n, slots)
    inside = (held > current[..., None] - wanted) & (held <= current[..., None])
    start = _RING_AT[ring]
    buckets = state[:, start : start + slots * COUNTERS].reshape(len(state), slots, COUNTERS)
    return np.einsum("ns,nsc->nc", inside.astype(np.int64), buckets)


def _held_buckets(newest: NDArray[np.int64], slots: int) -> NDArray[np.int64]:
    """Which bucket of time each slot of a ring holds: (n, slots)."""
    return newest[:, None] - (newest[:, None] - np.arange(slots)) % slots


def _clear_outdated(state: Counters, ring: int, newest_before: NDArray[np.int64], newest: NDArray[np.int64]) -> None:
    """Empties the slots whose bucket falls out of the ring when its newest bucket moves on."""
    _, slots = _RINGS[ring]
    moved = np.flatnonzero(newest > newest_before)
    if len(moved) == 0:
        return
    outdated = _held_buckets(newest_before[moved], slots) <= newest[moved, None] - slots  # (moved, slots)
    start = _RING_AT[ring]
    part = state[moved, start : start + slots * COUNTERS].reshape(len(moved), slots, COUNTERS)
    part[outdated] = 0
    state[moved, start : start + slots * COUNTERS] = part.reshape(len(moved), slots * COUNTERS)

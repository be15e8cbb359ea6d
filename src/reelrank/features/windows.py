"""Counters over sliding windows, as rings of integer buckets of event time.

A ring forgets by overwriting, so that a fold gives the same state in whatever order events arrive:
each bucket holds the sum of its own events, the newest buckets stay, what is older than the ring is dropped.
An unlike may come before its like, so a stored sum may lie below zero; whoever reads one is told 0 then.
"""

from collections.abc import Iterable
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Ints = NDArray[np.int64]
Counters = NDArray[np.int32]  # (n, WIDTH): one record per key, zeros where nothing is known


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
    STALLED_DS = 12  # tenths of a second that the player waited for data


COUNTERS = len(Counter)

# (seconds of a bucket, buckets in the ring)
RINGS = ((60, 5), (300, 12), (10_800, 8), (86_400, 7))
WINDOWS = {"5min": (0, 5), "1h": (1, 12), "1d": (2, 8), "7d": (3, 7)}  # name -> (ring, buckets)

_TOTAL_AT = len(RINGS)  # a record is: the newest bucket of each ring, the totals, then the rings
_BLOCK_AT = [1 + sum(slots for _, slots in RINGS[:ring]) for ring in range(len(RINGS))]  # a block is COUNTERS numbers: the totals are one, each bucket is one
_BLOCKS = 1 + sum(slots for _, slots in RINGS)
_RING_AT = [_TOTAL_AT + COUNTERS * block for block in _BLOCK_AT]
WIDTH = _TOTAL_AT + COUNTERS * _BLOCKS

TOTALS_END = _TOTAL_AT + COUNTERS  # what lies before suffices for `totals`
_MOST = np.iinfo(np.int32).max

Windowed = NDArray[np.int64]  # (n, COUNTERS)


def fold(state: Counters, places: Ints, entries: Ints, occurred_at: Ints, amounts: NDArray[np.float64]) -> Counters:
    """Counts t times in n records and returns the new records: record `places[j]` (t,) gets what entry `entries[j]` (t,) holds.

    `state` (n, WIDTH); entry i happened at `occurred_at[i]` (e,) UTC seconds and adds `amounts[i]` (e, COUNTERS), whole
    numbers. The order makes no difference.
    """
    state = state.copy()
    cells, counted = [places * _BLOCKS], [entries]
    for ring, (bucket_s, slots) in enumerate(RINGS):
        buckets = (occurred_at // bucket_s)[entries]  # (t,)
        newest_before = state[:, ring].astype(np.int64)
        newest = newest_before.copy()
        np.maximum.at(newest, places, buckets)
        _clear_outdated(state, ring, newest_before, newest)
        state[:, ring] = newest
        inside = np.flatnonzero(buckets > newest[places] - slots)
        cells.append(places[inside] * _BLOCKS + _BLOCK_AT[ring] + buckets[inside] % slots)
        counted.append(entries[inside])
    _add(state, np.concatenate(cells), np.concatenate(counted), amounts)
    return state


def _add(state: Counters, cells: Ints, entries: Ints, amounts: NDArray[np.float64]) -> None:
    """Adds to each cell, a block of a record, what its entry holds: `cells` (c,), `entries` (c,). Rather standing still at the limit than wrapping around."""
    distinct, places = np.unique(cells, return_inverse=True)
    which = csr_array((np.ones(len(cells)), (places, entries)), shape=(len(distinct), len(amounts)))
    rows, blocks = np.divmod(distinct[:, None], _BLOCKS)
    columns = _TOTAL_AT + blocks * COUNTERS + np.arange(COUNTERS)
    state[rows, columns] = np.minimum(state[rows, columns] + which @ amounts, _MOST).astype(np.int32)  # in float64: exact far beyond int32


def totals(state: Counters) -> Windowed:
    """All that was ever counted: (n, COUNTERS)."""
    return np.maximum(state[:, _TOTAL_AT:TOTALS_END], 0).astype(np.int64)


def window(state: Counters, name: str, now: float | NDArray[np.float64], counters: slice = slice(COUNTERS)) -> Windowed:
    """What was counted in the window `name` before `now` (UTC seconds, one or (n,)): (n, COUNTERS), or as many of `counters` as are wanted.

    A window is made of whole buckets and ends with the one that `now` lies in.
    """
    ring, wanted = WINDOWS[name]
    current = np.asarray(now, dtype=np.float64).astype(np.int64) // RINGS[ring][0]
    held, counts = buckets(state, ring)
    inside = (held > current[..., None] - wanted) & (held <= current[..., None])
    counts = counts[:, :, counters]
    counted = np.zeros((len(state), counts.shape[2]), dtype=np.int64)
    for slot in np.flatnonzero(inside.any(axis=0)).tolist():
        counted += np.where(inside[:, slot, None], counts[:, slot], 0)
    return np.maximum(counted, 0, out=counted)


def steady_since(now: float, rings: Iterable[int]) -> float:
    """From when on windows of these `rings` say what they say at `now`: since the latest of their buckets began, UTC seconds."""
    return max((int(now) // RINGS[ring][0] * RINGS[ring][0] for ring in rings), default=-np.inf)


def steady_until(state: Counters, now: float, rings: Iterable[int] = range(len(RINGS))) -> NDArray[np.float64]:
    """When windows that were read at `now` have to be read again although nothing was counted: (n,) UTC seconds, infinity where all are empty.

    That is when a bucket ends, of one of the `rings` that were read which still reaches something.
    """
    until = np.full(len(state), np.inf)
    for ring in rings:
        bucket_s, slots = RINGS[ring]
        current = int(now) // bucket_s
        reached = state[:, ring] > current - slots
        until[reached] = np.minimum(until[reached], (current + 1) * bucket_s)
    return until


def buckets(state: Counters, ring: int) -> tuple[NDArray[np.integer], Counters]:
    """A ring as it lies: which bucket of time each slot holds (n, slots), and what it counted (n, slots, COUNTERS)."""
    slots = RINGS[ring][1]
    start = _RING_AT[ring]
    return _held_buckets(state[:, ring], slots), state[:, start : start + slots * COUNTERS].reshape(len(state), slots, COUNTERS)


def _held_buckets(newest: NDArray[np.integer], slots: int) -> NDArray[np.integer]:
    """Which bucket of time each slot of a ring holds: (n, slots)."""
    return newest[:, None] - (newest[:, None] - np.arange(slots, dtype=newest.dtype)) % slots


def _clear_outdated(state: Counters, ring: int, newest_before: NDArray[np.int64], newest: NDArray[np.int64]) -> None:
    """Empties the slots whose bucket falls out of the ring when its newest bucket moves on."""
    _, slots = RINGS[ring]
    moved = np.flatnonzero(newest > newest_before)
    if len(moved) == 0:
        return
    outdated = _held_buckets(newest_before[moved], slots) <= newest[moved, None] - slots  # (moved, slots)
    start = _RING_AT[ring]
    part = state[moved, start : start + slots * COUNTERS].reshape(len(moved), slots, COUNTERS)
    part[outdated] = 0
    state[moved, start : start + slots * COUNTERS] = part.reshape(len(moved), slots * COUNTERS)

"""What the sources do with lists of video rows: the strongest first, each once, none that was seen."""

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from reelrank.domain.arrays import Column, Rows


def strongest(values: NDArray[np.number], count: int) -> Rows:
    """The places of the `count` largest values, largest first; of equals the first one first."""
    count = min(count, len(values))
    if count == 0:
        return np.empty(0, dtype=np.int64)
    border = np.partition(values, len(values) - count)[len(values) - count]
    above, level = np.flatnonzero(values > border), np.flatnonzero(values == border)
    chosen = np.sort(np.concatenate([above, level[: count - len(above)]]))
    return chosen[np.argsort(-values[chosen], kind="stable")]


def each_once(rows: Rows) -> Rows:
    """The rows in their order, each where it comes first."""
    _, first = np.unique(rows, return_index=True)
    return rows[np.sort(first)]


def seen_rows(seen: BitMap) -> Rows:
    """What was on the user's screen, ascending."""
    return np.frombuffer(seen.to_array(), dtype=np.uint32).astype(np.int64)


def unseen(rows: Rows, seen: BitMap) -> NDArray[np.bool_]:
    """Which rows (n,) were not on the user's screen: proposing the others would only waste the quota."""
    screened = np.frombuffer(seen.to_array(), dtype=np.uint32)  # ascending
    if len(screened) == 0:
        return np.ones(len(rows), dtype=np.bool_)
    places = np.searchsorted(screened, rows.astype(np.uint32))  # of few rows, and of ascending ones, faster than a set of what may be thousands
    return screened[np.minimum(places, len(screened) - 1)] != rows


def summed(keys: NDArray[np.integer], values: Column) -> tuple[Rows, Column]:
    """The keys (n,) ascending, each once, and the sum of the values of each: work for what is there, not for what could be."""
    each, places = np.unique(keys, return_inverse=True)
    return each.astype(np.int64), np.bincount(places, weights=values, minlength=len(each)).astype(np.float64)


def interleaved(lists: list[Rows]) -> Rows:
    """The first of each list, then the second of each, and so on; each row once."""
    if not lists:
        return np.empty(0, dtype=np.int64)
    ranks = np.concatenate([np.arange(len(rows)) for rows in lists])
    return each_once(np.concatenate(lists)[np.argsort(ranks, kind="stable")])

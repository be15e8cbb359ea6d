"""How much of what people wanted is in their lists: recall, NDCG and hits at k, and how many videos the lists show."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ranked = NDArray[np.int64]  # (users, places) video rows, best first; -1 where a list is shorter
Wanted = Sequence[NDArray[np.int64]]  # per user, the distinct video rows that would have been right


def recall_at(ranked: Ranked, wanted: Wanted, k: int) -> float:
    """The share of a user's wanted videos among the first k, averaged over the users who want any."""
    found, sizes = _found(ranked, wanted, k)
    asked = sizes > 0
    return float((found.sum(axis=1)[asked] / sizes[asked]).mean()) if asked.any() else float("nan")


def ndcg_at(ranked: Ranked, wanted: Wanted, k: int) -> float:
    """Like recall, but a find at place p (from 0) is worth 1 / log2(p + 2), and the best possible list is worth 1."""
    found, sizes = _found(ranked, wanted, k)
    asked = sizes > 0
    if not asked.any():
        return float("nan")
    worth = 1 / np.log2(np.arange(k) + 2)  # (k,)
    best = np.concatenate([[0.0], np.cumsum(worth)])[np.minimum(sizes, k)]
    return float(((found @ worth[: found.shape[1]])[asked] / best[asked]).mean())


def hit_at(ranked: Ranked, wanted: Wanted, k: int) -> float:
    """The share of the users who want any with at least one wanted video among the first k."""
    found, sizes = _found(ranked, wanted, k)
    asked = sizes > 0
    return float(found.max(axis=1, initial=False)[asked].mean()) if asked.any() else float("nan")


def distinct_videos(ranked: Ranked, k: int) -> int:
    """How many different videos all first k places show together."""
    shown = ranked[:, :k]
    return len(np.unique(shown[shown >= 0]))


def _found(ranked: Ranked, wanted: Wanted, k: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each of the first k places holds a wanted video (users, ≤ k), and how many each user wants (users,)."""
    if len(ranked) != len(wanted):
        raise ValueError(f"{len(ranked)} lists for {len(wanted)} users: give one list and one set of wanted videos per user")
    top = ranked[:, :k]
    found = np.zeros(top.shape, dtype=np.bool_)
    for user, right in enumerate(wanted):
        found[user] = np.isin(top[user], right) & (top[user] >= 0)
    return found, np.array([len(right) for right in wanted], dtype=np.int64)

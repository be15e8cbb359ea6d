"""What a slate is like, besides being right: how varied, how new, how fairly it shares attention, how long it will be watched."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


def intra_list_diversity(likeness: Floats) -> float:
    """The mean unlikeness, 1 - likeness (k, k), over all pairs of a slate (Ziegler et al. 2005). nan for fewer than two videos."""
    k = len(likeness)
    return float(1.0 - (likeness.sum() - np.trace(likeness)) / (k * (k - 1))) if k > 1 else float("nan")


def novelty(rows: Rows, views: Floats) -> float:
    """The mean surprise of the videos `rows` (k,) in bits, -log2 of their shares of all `views` (videos,), each with one more (Vargas & Castells 2011)."""
    share = (views[rows] + 1.0) / (views.sum() + len(views))
    return float(-np.log2(share).mean()) if len(rows) else float("nan")


def distinct_share(keys: Rows) -> float:
    """How many different ones there are among the keys (k,), authors for instance, for each place; -1 is one of its own. nan for none."""
    if len(keys) == 0:
        return float("nan")
    return (len(np.unique(keys[keys >= 0])) + int((keys < 0).sum())) / len(keys)


def coverage(shown: Rows, known: int) -> float:
    """The share of `known` authors, or videos, that come in any slate; `shown` (n,) are those of all places."""
    return len(np.unique(shown[shown >= 0])) / known


def gini(exposures: Floats) -> float:
    """How unevenly `exposures` (authors,) are shared: 0 when all have the same, towards 1 when one has everything."""
    total = exposures.sum()
    if total <= 0:
        return 0.0
    n = len(exposures)
    ranks = np.arange(1, n + 1)
    return float((2 * ranks - n - 1) @ np.sort(exposures) / (n * total))


def tag_entropy(tag_rows: Rows) -> float:
    """The entropy in bits of the tags (k, T) of a slate, -1 for none: 0 where all say the same."""
    _, counts = np.unique(tag_rows[tag_rows >= 0], return_counts=True)
    share = counts / max(1, counts.sum())
    return float(-(share * np.log2(share)).sum()) + 0.0


def expected_watch_s(watch_s: Floats) -> float:
    """The watch time in seconds to be expected of a slate that is watched to its end, of places with `watch_s` (k,) each."""
    return float(watch_s.sum())

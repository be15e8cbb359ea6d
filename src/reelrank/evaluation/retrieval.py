"""How well a list finds what was watched afterwards: recall, NDCG and hits at k, and the interval of a difference."""

import numpy as np
from numpy.typing import NDArray

from reelrank.evaluation.paired import Interval

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def top(scores: NDArray[np.floating], k: int) -> Rows:
    """The k best columns of each row of (n, m), best first: (n, min(k, m)). Of equal scores the earlier column comes first.

    What has the score -inf is not listed: where fewer than k columns are left, the last places are empty, -1.
    """
    k = min(k, scores.shape[1])
    some = np.argpartition(-scores, k - 1, axis=1)[:, :k] if k else np.empty((len(scores), 0), dtype=np.int64)
    worst = np.take_along_axis(scores, some, axis=1).min(axis=1, keepdims=True, initial=np.inf)
    tied = np.flatnonzero(np.count_nonzero(scores >= worst, axis=1) > k)  # a partition takes any of those that are equal to the last
    some[tied] = _first_of_equals(scores[tied], worst[tied], k)
    some = np.sort(some, axis=1)
    best = np.take_along_axis(scores, some, axis=1)
    order = np.argsort(-best, axis=1, kind="stable")
    return np.take_along_axis(np.where(np.isneginf(best), -1, some), order, axis=1).astype(np.int64)


def _first_of_equals(scores: NDArray[np.floating], worst: NDArray[np.floating], k: int) -> Rows:
    """The k columns of each row that are better than `worst` (n, 1) or, as far as there is room, equal to it and first: (n, k)."""
    better, equal = scores > worst, scores == worst
    room = k - np.count_nonzero(better, axis=1, keepdims=True)
    return np.nonzero(better | (equal & (np.cumsum(equal, axis=1, dtype=np.int32) <= room)))[1].reshape(len(scores), k)


def found(lists: Rows, indptr: Rows, relevant: Rows) -> Bools:
    """Which places of n lists (n, k) hold a relevant video; those of list i are `relevant[indptr[i] : indptr[i + 1]]`, each once.

    A place of -1 is empty.
    """
    width = max(int(lists.max(initial=0)), int(relevant.max(initial=0))) + 1
    wanted = np.repeat(np.arange(len(lists)), np.diff(indptr)) * width + relevant
    listed = np.arange(len(lists))[:, None] * width + lists
    return np.isin(listed, wanted) & (lists >= 0)


def recall(hits: Bools, relevant: Rows) -> Floats:
    """The share of each list's `relevant` (n,) videos that it holds, given `hits` (n, k): (n,). nan without a relevant video."""
    with np.errstate(invalid="ignore"):
        return hits.sum(axis=1) / relevant


def ndcg(hits: Bools, relevant: Rows) -> Floats:
    """Normalised discounted cumulative gain with gain 1 and discount 1 / log2(place + 2): (n,). nan without a relevant video."""
    gains: Floats = 1 / np.log2(np.arange(hits.shape[1]) + 2)
    best: Floats = np.concatenate([[0.0], np.cumsum(gains)])[np.minimum(relevant, hits.shape[1])]
    with np.errstate(invalid="ignore"):
        return (hits @ gains) / best


def hit(hits: Bools) -> Floats:
    """1 for each list that holds a relevant video at all, else 0: (n,)."""
    return np.asarray(hits.any(axis=1), dtype=np.float64)


def places(scores: NDArray[np.floating], targets: Rows) -> Floats:
    """The place from 0 of one target (n,) per row of `scores` (n, m): (n,). Among equals it stands in their middle.

    A model that gives everything the same score has found nothing; counting only what is strictly better would call
    that a hit. A target with the score -inf is not listed: its place is inf.
    """
    own = np.take_along_axis(scores, targets[:, None], axis=1)
    among = (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2
    return np.where(np.isneginf(own[:, 0]), np.inf, among)


def recall_of_places(places: Floats, k: int) -> Floats:
    """1 for each single target within the first k places, else 0: (n,)."""
    return (places < k).astype(np.float64)


def ndcg_of_places(places: Floats, k: int) -> Floats:
    """The NDCG@k of each single target: (n,)."""
    return np.where(places < k, 1 / np.log2(places + 2), 0.0)


def paired_interval(ours: Floats, theirs: Floats) -> Interval:
    """The mean of ours - theirs over the same n users, and its 95 % interval. Normal approximation."""
    difference = ours - theirs
    if len(difference) < 2:
        raise ValueError(f"an interval needs at least two users, not {len(difference)}")
    half = 1.96 * float(difference.std(ddof=1)) / len(difference) ** 0.5
    mean = float(difference.mean())
    return Interval(mean, mean - half, mean + half)

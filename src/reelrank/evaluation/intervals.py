"""How sure a difference is: AUCs of two ways to predict the same rows, users drawn anew many times."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.evaluation.prediction import Groups, Outcomes, Scores

_AT_ONCE = 25  # resamples


class Interval(NamedTuple):
    """A mean, and between what 95 % of the resamples lie."""

    mean: float
    low: float
    high: float


def auc_difference(outcomes: Outcomes, ours: Sequence[Scores], theirs: Sequence[Scores], users: Groups, resamples: int = 1000, seed: int = 0) -> Interval:
    """By how much the AUC of `ours` is above that of `theirs`, paired by user (bootstrap, Efron 1979).

    Each is one or more predictions (n,) of the same rows, say of several seeds, whose AUCs are averaged. Users are drawn
    with replacement, each with all rows.
    """
    _, owner = np.unique(users, return_inverse=True)
    count = int(owner.max(initial=-1)) + 1
    rng = np.random.default_rng(seed)
    drawn = [
        _difference(outcomes, ours, theirs, rng.multinomial(count, np.full(count, 1 / count), _AT_ONCE)[:, owner]) for _ in range(-(-resamples // _AT_ONCE))
    ]
    found = np.concatenate(drawn)
    low, high = np.nanquantile(found, [0.025, 0.975])
    return Interval(float(_difference(outcomes, ours, theirs, np.ones((1, len(outcomes))))[0]), float(low), float(high))


def _difference(outcomes: Outcomes, ours: Sequence[Scores], theirs: Sequence[Scores], weights: NDArray[np.number]) -> Scores:
    one, other = (np.mean([weighted_auc(outcomes, scores, weights) for scores in several], axis=0) for several in (ours, theirs))
    return one - other


def weighted_auc(outcomes: Outcomes, scores: Scores, weights: NDArray[np.number]) -> Scores:
    """The AUC when row i counts `weights[r, i]` times, for each r: (r,). nan where only one outcome counts."""
    order = np.argsort(scores, kind="stable")
    happened, weight = outcomes[order], weights[:, order].astype(np.float64)
    tie_starts = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)
    positive, negative = (np.add.reduceat(weight * chosen, tie_starts, axis=1) for chosen in (happened, ~happened))
    below = np.cumsum(negative, axis=1) - negative / 2  # of each tie, half counts as below
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return np.divide((positive * below).sum(axis=1), pairs, out=np.full(len(weight), np.nan), where=pairs > 0)

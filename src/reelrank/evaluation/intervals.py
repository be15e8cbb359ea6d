"""How sure a mean, an AUC or a difference of two is: users drawn anew many times."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.evaluation.prediction import Groups, Outcomes, Scores

_AT_ONCE = 25  # resamples
_DRAWS = 1_000  # resamples of means
_NUMBERS_AT_ONCE = 4_000_000  # drawn and held in memory


class Interval(NamedTuple):
    """A mean, and between what 95 % of the resamples lie; nan where too little is known."""

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


def mean_interval(values: Scores, groups: Groups, seed: int = 0) -> Interval:
    """The mean of `values` (n,) and its interval, by drawing whole groups (n,) again and again: rows of one user are not independent.

    Rows of nan count nowhere. With fewer than two groups the interval is unknown. For a difference of two, give the
    differences of what each row adds to either.
    """
    known = ~np.isnan(values)
    values, groups = values[known], groups[known]
    if len(values) == 0:
        return Interval(np.nan, np.nan, np.nan)
    _, places = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(places, weights=values), np.bincount(places)
    mean = float(sums.sum() / counts.sum())
    if len(sums) < 2:
        return Interval(mean, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    step = max(1, _NUMBERS_AT_ONCE // len(sums))
    means: list[Scores] = []
    for first in range(0, _DRAWS, step):
        drawn = rng.integers(len(sums), size=(min(step, _DRAWS - first), len(sums)))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return Interval(mean, float(low), float(high))


def auc_shares(outcomes: Outcomes, scores: Scores) -> Scores:
    """What each row adds to the AUC: (n,). Their mean is the AUC, and to first order they vary as it does, so intervals can be read from them.

    The structural components of DeLong et al. (1988), as Obuchowski (1997) uses them for rows that come in groups. All nan
    if only one of both outcomes occurs.
    """
    happened = np.flatnonzero(outcomes)
    did_not = np.flatnonzero(~outcomes)
    shares = np.full(len(scores), np.nan)
    if len(happened) == 0 or len(did_not) == 0:
        return shares
    above = _placed(scores[happened], scores[did_not])  # of each row where it happened: the share of the others below it
    below = 1 - _placed(scores[did_not], scores[happened])
    area = above.mean()
    shares[happened] = area + (above - area) * len(scores) / len(happened)
    shares[did_not] = area + (below - area) * len(scores) / len(did_not)
    return shares


def log_likelihoods(outcomes: Outcomes, probabilities: Scores) -> Scores:
    """The log likelihood of each row in nats: (n,); their negative mean is `prediction.log_loss`."""
    inside = np.clip(probabilities, 1e-7, 1 - 1e-7)
    return np.where(outcomes, np.log(inside), np.log1p(-inside))


def _placed(scores: Scores, among: Scores) -> Scores:
    """The share of `among` that each score is above; a tie counts half: (n,)."""
    sorted_ = np.sort(among)
    return (np.searchsorted(sorted_, scores, side="left") + np.searchsorted(sorted_, scores, side="right")) / (2 * len(among))

"""Which of two predicts better, and how surely: what each row adds to a measure, and intervals over users."""

from typing import NamedTuple

import numpy as np

from reelrank.evaluation.prediction import Groups, Outcomes, Scores, group_areas

DRAWS = 1_000
_AT_ONCE = 4_000_000  # drawn numbers that are held in memory at a time


class Interval(NamedTuple):
    """A mean and where it lies with 95 % confidence; nan where too little is known."""

    mean: float
    lo: float
    hi: float


def interval(values: Scores, groups: Groups, seed: int = 0) -> Interval:
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
    step = max(1, _AT_ONCE // len(sums))
    means: list[Scores] = []
    for first in range(0, DRAWS, step):
        drawn = rng.integers(len(sums), size=(min(step, DRAWS - first), len(sums)))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    lo, hi = np.quantile(np.concatenate(means), [0.025, 0.975])
    return Interval(mean, float(lo), float(hi))


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


def gauc_shares(outcomes: Outcomes, scores: Scores, groups: Groups) -> Scores:
    """What each row adds to the GAUC: the AUC of its group, nan where that has none: (n,). Their mean over the rows is the GAUC.

    For intervals draw whole groups, or what holds whole groups: users for groups of a user's day.
    """
    areas, _ = group_areas(outcomes, scores, groups)
    return areas[np.unique(groups, return_inverse=True)[1]]


def log_likelihoods(outcomes: Outcomes, probabilities: Scores) -> Scores:
    """The log likelihood of each row in nats: (n,); their negative mean is `prediction.log_loss`."""
    inside = np.clip(probabilities, 1e-7, 1 - 1e-7)
    return np.where(outcomes, np.log(inside), np.log1p(-inside))


def _placed(scores: Scores, among: Scores) -> Scores:
    """The share of `among` that each score is above; a tie counts half: (n,)."""
    sorted_ = np.sort(among)
    return (np.searchsorted(sorted_, scores, side="left") + np.searchsorted(sorted_, scores, side="right")) / (2 * len(among))

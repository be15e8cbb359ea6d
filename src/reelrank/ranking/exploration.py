"""Exploration: which new videos get a place by chance, and how likely each of them is to get it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column
from reelrank.domain.candidate import Candidates
from reelrank.domain.params import FeedParams
from reelrank.features.definitions import COLUMN
from reelrank.features.encoding import PRIOR_AUTHOR
from reelrank.pipeline.stages import Query

FRESH = "fresh"  # the source whose videos may earn more than their first outcomes
_TAG_PRIOR = 5.0  # outcomes that the rate of its tags is worth, besides what the rate of its author is
_GRID = 96  # points that posteriors are compared at
_SPREAD = 4.5  # standard deviations around its mean in which a posterior lies, as far as it matters

Bools = NDArray[np.bool_]


class Bars(Protocol):
    """Knows how well new videos do."""

    def bars(self, params: FeedParams) -> tuple[float, ...]:
        """For each tier the long view rate that a video has to beat to get more."""
        ...


class Exploration:
    """The new videos among n candidates.

    Every video is given its first `exploration_impressions` outcomes, whatever they say. After these it is in the next
    traffic pool, up to the first number of `exploration_tiers`, then the next, as long as its expected long view rate is
    not below the bar of its peers. Beyond the last tier it is not new any more.

    What is drawn is the winner of a Thompson sampling over Beta posteriors of the long view rate (Chapelle & Li 2011); with the chance
    `exploration_first` one of those that still wait for their first outcomes, evenly, so that a bad start starves none.
    """

    def __init__(self, query: Query, candidates: Candidates, bars: tuple[float, ...]) -> None:
        assert candidates.features is not None, "features are hydrated before anything is explored"
        params, self._features = query.params, candidates.features
        self._outcomes = np.expm1(self._features[:, COLUMN["video_outcomes"]].astype(np.float64)).round()
        self._first_share = params.exploration_first
        self.first = self._outcomes < params.exploration_impressions
        self.earned = proposed_fresh(candidates) & ~self.first
        trying = np.flatnonzero(self.earned)
        alpha, beta = self._posteriors(trying)
        tier = np.searchsorted(params.exploration_edges, self._outcomes[trying], side="right") - 1  # -1 before the first edge
        bar = np.append(bars, np.inf)[np.clip(tier, 0, len(bars))]  # beyond the last edge nothing is enough
        self.earned[trying] = alpha / (alpha + beta) >= bar
        self._pool = self.first | self.earned
        self._grid: tuple[NDArray[np.int64], Column, Column] | None = None  # made when it is first needed

    def pool(self, allowed: Bools) -> Bools:
        """Which of the candidates that are `allowed` (n,) may be explored: (n,)."""
        return self._pool & allowed

    def chances(self, pool: Bools) -> Column:
        """How likely each of a pool (n,), not empty, is to be drawn: (n,), together 1."""
        chances = np.zeros(len(pool))
        members = np.flatnonzero(pool)
        waiting = members[self.first[members]]
        share = self._first_share if len(waiting) else 0.0
        if share < 1.0:
            chances[members] = (1.0 - share) * self._winners(members)
        chances[waiting] += share / max(1, len(waiting))
        return chances / chances.sum()

    def _winners(self, members: NDArray[np.int64]) -> Column:
        """For each of the members (m,) how likely a draw from its posterior is the highest of all, by numerical integration."""
        if len(members) == 1:
            return np.ones(1)
        if self._grid is None:
            mass, below = discretised(*self._posteriors(np.flatnonzero(self._pool)))
            self._grid = np.cumsum(self._pool) - 1, mass / below, np.log(below)
        place, odds, log_below = self._grid
        mine = place[members]
        winners = odds[mine] @ np.exp(log_below[mine].sum(axis=0))  # all lie below a point, but this one at it
        return winners / winners.sum()

    def _posteriors(self, places: NDArray[np.int64]) -> tuple[Column, Column]:
        return posteriors(self._features[places], self._outcomes[places])


def posteriors(features: NDArray[np.float32], outcomes: Column) -> tuple[Column, Column]:
    """The Beta posterior (alpha, beta), (n,) each, of the long view rates of videos with so many `outcomes` (n,).

    The prior is worth `PRIOR_AUTHOR` outcomes at the rate of the author, which the feature is smoothed by already, and a few at that of the tags.
    """
    counted = outcomes + PRIOR_AUTHOR
    rate = (counted * features[:, COLUMN["video_long_view_rate"]] + _TAG_PRIOR * features[:, COLUMN["tag_long_view_rate"]]) / (counted + _TAG_PRIOR)
    rate = np.clip(rate, 1e-3, 1 - 1e-3)  # a rate of nothing at all leaves a chance
    return rate * (counted + _TAG_PRIOR), (1 - rate) * (counted + _TAG_PRIOR)


def discretised(alpha: Column, beta: Column) -> tuple[Column, Column]:
    """Beta distributions (m,) at points that they share: how much of each lies at a point, and how much below its middle. (m, points) each."""
    mean, total = alpha / (alpha + beta), alpha + beta
    deviation = np.sqrt(mean * (1 - mean) / (total + 1))
    low, high = max(0.0, float((mean - _SPREAD * deviation).min())), min(1.0, float((mean + _SPREAD * deviation).max()))
    points = low + (high - low) * (np.arange(_GRID) + 0.5) / _GRID
    log_density = np.outer(alpha - 1, np.log(points)) + np.outer(beta - 1, np.log1p(-points))
    mass = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    mass /= mass.sum(axis=1, keepdims=True)
    return mass, np.maximum(np.cumsum(mass, axis=1) - mass / 2, 1e-300)


def proposed_fresh(candidates: Candidates) -> Bools:
    """Which candidates the fresh source has proposed: (n,)."""
    if FRESH not in candidates.source_names:
        return np.zeros(len(candidates), dtype=np.bool_)
    return (candidates.sources >> np.uint32(candidates.source_names.index(FRESH)) & np.uint32(1)).astype(np.bool_)

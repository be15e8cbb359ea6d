"""Dense inputs on one scale: each feature by its rank among the training examples, as the quantile of a normal distribution."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from reelrank.domain.arrays import Floats, Rows
from reelrank.storage.array_record import ArrayRecord

_TOGETHER = 1_024  # rows, whose places stay in the cache
_CELLS = 1_024  # of the grid: four for each quantile
_SHORTEST = 1e-30  # of the lines between two values
_FURTHEST = 0.001  # of the examples lie beyond the outermost values that are told apart


@dataclass(frozen=True, slots=True)
class DenseInputs(ArrayRecord):
    """The distribution of each of F features, as K values from the smallest to the largest, and what becomes of them."""

    values: Floats  # (F, K) ascending
    scores: Floats  # (F, K) ascending, of mean 0 and variance 1 over the examples

    def transform(self, features: Floats) -> Floats:
        """(n, F) → (n, F); what nobody knows becomes 0, the middle."""
        curves, scaled = Curves.of(self), np.empty(features.shape, dtype=np.float32)
        for at in range(0, len(features), _TOGETHER):
            scaled[at : at + _TOGETHER] = curves.read(features[at : at + _TOGETHER].T).T
        return scaled


class Curves(NamedTuple):
    """The same as lines from each value to the next, found for all features together.

    A grid of even cells says among which lines to look, and halving finds the one; features whose values lie close together
    in places have to halve more often. They come first, so that each halving is of the features that need it.
    """

    order: Rows  # (F,) which feature each row below is about
    ends: Floats  # (2, F, 1) the first value and the last
    per_cell: Floats  # (F, 1) cells for each unit
    nearest: Rows  # (F, cells + 1) the line where the search begins, as a place in those below
    needing: tuple[int, ...]  # how many features halve once more, by how often they still will
    begin: Floats  # (F, lines) the values where the lines begin, ascending
    score: Floats  # (F, lines) what becomes of each of these
    rise: Floats  # (F, lines) and of what lies beyond, for each unit

    @classmethod
    def of(cls, inputs: DenseInputs, columns: Sequence[int] | slice = slice(None)) -> "Curves":
        """Those of some features."""
        values, scores = inputs.values[columns].astype(np.float64), inputs.scores[columns].astype(np.float64)
        begin, count = values[:, :-1], values.shape[1] - 1
        width = np.diff(values, axis=1)
        rise = np.diff(scores, axis=1) / np.where(width > _SHORTEST, width, np.inf)
        first, last = values[:, :1], values[:, -1:]
        per_cell = _CELLS / np.where(last - first > _SHORTEST, last - first, np.inf)
        edges = first + (last - first) * (np.arange(-1, _CELLS + 3) / _CELLS)  # a cell more on either side, as the place of a value is rounded
        low, high = np.empty((2, len(values), _CELLS + 1), dtype=np.int64)
        for feature, of in enumerate(begin):
            at = np.searchsorted(of, edges[feature], "right")
            low[feature], high[feature] = np.maximum(at[:-3] - 1, 0), np.maximum(at[3:], 1)
        halvings = np.array([int(most - 1).bit_length() for most in (high - low).max(axis=1, initial=1)], dtype=np.int64)
        order = np.argsort(-halvings, kind="stable")
        needing = tuple(int((halvings > level).sum()) for level in range(int(halvings.max(initial=0))))
        lines = max(count, 1 << len(needing))
        begin, score, rise = (np.pad(of[order], ((0, 0), (0, lines - count)), mode="edge") for of in (begin, scores[:, :-1], rise))
        nearest = np.minimum(low, lines - (1 << halvings[:, None]))[order] + (np.arange(len(order)) * lines)[:, None]
        ends, per_cell, begin, score, rise = (of.astype(np.float32) for of in (np.stack([first, last])[:, order], per_cell[order], begin, score, rise))
        return cls(order, ends, per_cell, nearest, needing, begin, score, rise)

    def read(self, features: Floats) -> Floats:
        """(F, n) → (F, n); what nobody knows becomes 0, the middle."""
        unknown, (first, last) = np.isnan(features), self.ends
        known = np.clip(features[self.order], first, last)
        if unknown.any():
            known[unknown[self.order]] = 0.0
            known = np.clip(known, first, last)
        cell = ((known - first) * self.per_cell).astype(np.int64)
        cell += (np.arange(len(known)) * self.nearest.shape[1])[:, None]
        line = self.nearest.take(cell)
        for level in reversed(range(len(self.needing))):
            some = line[: self.needing[level]]
            some += (self.begin.take(some + (1 << level)) <= known[: len(some)]) << level
        told = np.empty(features.shape, dtype=np.float32)
        told[self.order] = self.score.take(line) + (known - self.begin.take(line)) * self.rise.take(line)
        told[unknown] = 0.0
        return told


def fit(features: Floats, quantiles: int = 257) -> DenseInputs:
    """Learns the distributions of the columns of `features` (n, F). Equal values share the middle of their ranks."""
    values, scores = np.empty((2, features.shape[1], quantiles), dtype=np.float32)
    for column in range(features.shape[1]):
        known = np.sort(features[:, column][np.isfinite(features[:, column])])
        if len(known) == 0:
            values[column], scores[column] = np.arange(quantiles), 0.0
            continue
        knots = np.unique(known[np.linspace(0, len(known) - 1, quantiles).round().astype(np.int64)])
        share = (np.searchsorted(known, knots, "left") + np.searchsorted(known, knots, "right")) / 2 / len(known)
        score = ndtri(np.clip(share, _FURTHEST, 1 - _FURTHEST))
        every = np.interp(known, knots, score)
        score = (score - every.mean()) / (every.std() + 1e-3)  # a constant feature says nothing
        missing = quantiles - len(knots)  # as many times the last one, which `np.interp` takes as the end
        values[column], scores[column] = np.pad(knots, (0, missing), mode="edge"), np.pad(score, (0, missing), mode="edge")
    return DenseInputs(values, scores)

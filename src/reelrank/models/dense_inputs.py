"""Dense inputs on one scale: each feature by its rank among the training examples, as the quantile of a normal distribution."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from reelrank.domain.arrays import Floats
from reelrank.storage.array_record import ArrayRecord

_TOGETHER = 1_024  # rows, whose places stay in the cache
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
    """The same as lines from each value to the next, a power of two of them: those of all features are found together, by halving."""

    begin: Floats  # (F, lines) the values where the lines begin, ascending
    end: Floats  # (F, 1) the last value
    score: Floats  # (F, lines) what becomes of each of these
    rise: Floats  # (F, lines) and of what lies beyond, for each unit

    @classmethod
    def of(cls, inputs: DenseInputs, columns: Sequence[int] | slice = slice(None)) -> "Curves":
        """Those of some features."""
        values, scores = inputs.values[columns], inputs.scores[columns]
        lines = 1 << (max(values.shape[1] - 1, 1) - 1).bit_length()
        values, scores = (np.pad(of, ((0, 0), (0, lines + 1 - of.shape[1])), mode="edge").astype(np.float64) for of in (values, scores))
        length = np.diff(values, axis=1)
        rise = np.diff(scores, axis=1) / np.where(length > 0, length, np.inf)
        begin, end, score, rise = (np.ascontiguousarray(of, dtype=np.float32) for of in (values[:, :-1], values[:, -1:], scores[:, :-1], rise))
        return cls(begin, end, score, rise)

    def read(self, features: Floats) -> Floats:
        """(F, n) → (F, n); what nobody knows becomes 0, the middle."""
        lines, known = self.begin.shape[1], np.clip(np.ascontiguousarray(features, dtype=np.float32), self.begin[:, :1], self.end)
        line = np.repeat((np.arange(len(known)) * lines)[:, None], known.shape[1], axis=1)
        step = lines // 2
        while step:
            line += (self.begin.take(line + step) <= known) * step
            step //= 2
        told = np.asarray(self.score.take(line) + (known - self.begin.take(line)) * self.rise.take(line), dtype=np.float32)
        unknown = np.isnan(told)
        if unknown.any():
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

"""Dense inputs on one scale: each feature by its rank among the training examples, as the quantile of a normal distribution."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from reelrank.domain.arrays import Floats
from reelrank.storage.array_record import ArrayRecord

_FURTHEST = 0.001  # of the examples lie beyond the outermost values that are told apart


@dataclass(frozen=True, slots=True)
class DenseInputs(ArrayRecord):
    """The distribution of each of F features, as K values from the smallest to the largest, and what becomes of them."""

    values: Floats  # (F, K) ascending
    scores: Floats  # (F, K) ascending, of mean 0 and variance 1 over the examples

    def transform(self, features: Floats) -> Floats:
        """(n, F) → (n, F); what nobody knows becomes 0, the middle."""
        scaled = np.empty(features.shape, dtype=np.float32)
        same = (features == features[:1]).all(axis=0)  # what is about the user is the same for all candidates
        for column, (values, scores) in enumerate(zip(self.values, self.scores, strict=True)):
            scaled[:, column] = np.interp(features[:1, column] if same[column] else features[:, column], values, scores)
        return np.nan_to_num(scaled, copy=False)


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

"""A determinantal point process, filled greedily: what the diversity of slates is measured against."""

import numpy as np
from numpy.typing import NDArray

from reelrank.ranking.likeness import Likeness

_LEAST = np.float32(1e-3)  # even the exact copy of what was chosen may come, if all else is far worse


class Determinantal:
    """Greedy maximum of score + `strength` × the logarithm of what is new, over n candidates.

    That is the greedy MAP of a determinantal point process with kernel q_i S_ij q_j, q = exp(score / (2 · strength)), kept by an
    incremental Cholesky factor: O(n) for each one chosen, times how many were (Chen, Zhang & Zhou 2018, "Fast Greedy MAP
    Inference for Determinantal Point Process"). What is new of a candidate is its squared distance from the span of those
    chosen: 1 at first, 0 for the copy of one of them.
    """

    def __init__(self, likeness: Likeness, candidates: int, at_most: int, strength: float) -> None:
        self._likeness = likeness
        self._strength = strength
        self._new = np.ones(candidates, dtype=np.float32)
        self._factor = np.empty((at_most, candidates), dtype=np.float32)  # rows of the Cholesky factor of those chosen
        self._chosen = 0

    def put(self, place: int) -> None:
        """The candidate at `place` was chosen, by whomever."""
        left = self._new[place]
        if left <= _LEAST or self._chosen == len(self._factor):
            return  # a copy: it makes nothing less new
        above = self._factor[: self._chosen]
        step = (self._likeness.to(place) - above[:, place] @ above) / np.sqrt(left)
        self._factor[self._chosen] = step
        self._chosen += 1
        self._new -= step * step

    def gains(self) -> NDArray[np.float64]:
        """What being new adds to each score, 0 or less: (n,)."""
        return self._strength * np.log(np.maximum(self._new, _LEAST)).astype(np.float64)

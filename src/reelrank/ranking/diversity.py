"""Diversity: how much a video repeats those that stand above it, by maximal marginal relevance."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reelrank.ranking.likeness import Likeness


class Diversifier(Protocol):
    """Follows a slate as it is filled, and says what each candidate would add."""

    def put(self, place: int) -> None: ...
    def gains(self) -> NDArray[np.float64]: ...


class Diversity(Protocol):
    """Begins to follow a slate of `at_most` places out of so many candidates."""

    def __call__(self, likeness: Likeness, candidates: int, at_most: int, strength: float) -> Diversifier: ...


class MarginalRelevance:
    """Score - `strength` × likeness to the most alike of those above (maximal marginal relevance, Carbonell & Goldstein 1998): O(n) a place."""

    def __init__(self, likeness: Likeness, candidates: int, at_most: int, strength: float) -> None:
        self._likeness = likeness
        self._strength = strength
        self._most = np.zeros(candidates, dtype=np.float32)

    def put(self, place: int) -> None:
        """The candidate at `place` was chosen, by whomever."""
        np.maximum(self._most, self._likeness.to(place), out=self._most)

    def gains(self) -> NDArray[np.float64]:
        """What repeating takes from each score, 0 or less: (n,)."""
        return -self._strength * self._most.astype(np.float64)

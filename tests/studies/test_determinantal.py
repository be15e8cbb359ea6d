"""Tests of diversity: the greedy choice is that of the determinants."""

import numpy as np

from reelrank.ranking.likeness import Likeness
from reelrank.studies.determinantal import Determinantal


class Given(Likeness):
    """The cosines of vectors (n, d)."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def to(self, place: int) -> np.ndarray:
        return self._vectors @ self._vectors[place]


def greedy_by_determinants(likeness: np.ndarray, scores: np.ndarray, strength: float, count: int) -> list[int]:
    """The same from the definition: log det of the likeness of those chosen, recomputed for every candidate."""
    chosen: list[int] = []
    while len(chosen) < count:
        best, _ = max(
            (
                (place, scores[place] + strength * np.linalg.slogdet(likeness[np.ix_([*chosen, place], [*chosen, place])])[1])
                for place in range(len(scores))
                if place not in chosen
            ),
            key=lambda one: one[1],
        )
        chosen.append(best)
    return chosen


def filled(diversity: Determinantal, scores: np.ndarray, count: int) -> list[int]:
    left, chosen = scores.copy(), list[int]()
    for _ in range(count):
        chosen.append(int(np.argmax(left + diversity.gains())))
        left[chosen[-1]] = -np.inf
        diversity.put(chosen[-1])
    return chosen


def test_the_incremental_choice_is_that_of_the_determinants() -> None:
    rng = np.random.default_rng(1)
    given, scores = Given(rng.normal(size=(12, 5))), rng.normal(size=12)
    for strength in (0.1, 1.0, 5.0):
        assert filled(Determinantal(given, 12, 4, strength), scores, 4) == greedy_by_determinants(given.matrix(), scores, strength, 4)


def test_without_strength_the_scores_decide() -> None:
    scores = np.array([0.1, 0.5, 0.3, 0.4])
    assert filled(Determinantal(Given(np.eye(4)), 4, 4, 0.0), scores, 4) == [1, 3, 2, 0]


def test_a_copy_comes_last_and_breaks_nothing() -> None:
    copies = Given(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
    assert filled(Determinantal(copies, 4, 4, 1.0), np.array([1.0, 0.9, 0.0, 0.8]), 4) == [0, 2, 1, 3]

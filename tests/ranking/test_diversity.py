"""Tests of diversity: the greedy choice is that of the determinants."""

import numpy as np

from reelrank.features.columns import VideoColumns
from reelrank.ranking.diversity import Determinantal
from reelrank.ranking.likeness import Likeness


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


def test_the_incremental_choice_is_that_of_the_determinants(columns: VideoColumns) -> None:
    rows = np.arange(11)
    likeness, scores = Likeness(columns, rows), np.random.default_rng(1).normal(size=11)
    for strength in (0.1, 1.0, 5.0):
        assert filled(Determinantal(likeness, 11, 6, strength), scores, 6) == greedy_by_determinants(likeness.matrix(), scores, strength, 6)


def test_without_strength_the_scores_decide(columns: VideoColumns) -> None:
    scores = np.array([0.1, 0.5, 0.3, 0.4])
    assert filled(Determinantal(Likeness(columns, np.arange(4)), 4, 4, 0.0), scores, 4) == [1, 3, 2, 0]


def test_a_copy_comes_last_and_breaks_nothing(columns: VideoColumns) -> None:
    copies = Likeness(columns, np.array([0, 0, 1, 0]))
    assert filled(Determinantal(copies, 4, 4, 1.0), np.array([1.0, 0.9, 0.0, 0.8]), 4) == [0, 2, 1, 3]

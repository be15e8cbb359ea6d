"""Histories whose order is known: everybody walks some steps of the same round 0 → 1 → … → 0."""

from collections.abc import Sequence

import numpy as np


def walks(users: int, things: int, rng: np.random.Generator, steps: tuple[int, int] = (4, 8)) -> list[np.ndarray]:
    """From anywhere, at least as many steps as the first number says, and fewer than the second."""
    return [(rng.integers(things) + np.arange(rng.integers(*steps))) % things for _ in range(users)]


def joined(histories: Sequence[Sequence[int] | np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(rows, indptr): history i is rows[indptr[i] : indptr[i + 1]]."""
    return np.concatenate([np.asarray(one, dtype=np.int64) for one in histories]), np.concatenate([[0], np.cumsum([len(one) for one in histories])])


def as_lines(histories: Sequence[np.ndarray]) -> str:
    """A line per user, as files of sequences have them."""
    return "\n".join(f"{user} {' '.join(map(str, one))}" for user, one in enumerate(histories))

"""The peers of graph benchmarks, each tuned on validation: popular, item-kNN, EASE and LightGCN."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import inv
from scipy.sparse import csr_array

from reelrank.domain.arrays import Floats, Rows
from reelrank.models.edges import owners, size
from reelrank.training import train_lightgcn
from reelrank.training.choose_filter import best, quality
from reelrank.training.folds import Fold

Scores = Callable[[Rows], Floats]  # users (n,) -> (n, videos)

PEERS = ("lightgcn", "item_knn", "ease", "popular")
_RIDGES = (10.0, 30.0, 100.0, 300.0, 1_000.0)
_NEIGHBOURS = (20, 50, 100, 200)
_SHRINK = (0.0, 10.0, 100.0, 1_000.0)
_MOST_EASE = 10_000  # videos that the closed form takes: its time grows with the cube, its memory with the square
_JUDGES = 2_000  # users that a choice is measured on, at most
_BLOCK = 500


class Fit(NamedTuple):
    """A model that was chosen on validation and fitted on what it may know: how it scores users, and what was chosen."""

    scores: Scores
    chosen: dict[str, Any]


def fit(name: str, fold: Fold, final: csr_array, seed: int, on_progress: Callable[[int], None] | None = None) -> Fit:
    """Tunes the peer on a fold, then fits it on `final` (users, videos)."""
    if name == "lightgcn":
        return _lightgcn(fold, final, seed, on_progress)
    makers: dict[str, tuple[Callable[..., Scores], list[dict[str, float]]]] = {
        "popular": (_popular, [{}]),
        "item_knn": (_item_knn, [{"neighbours": count, "shrink": shrink} for count in _NEIGHBOURS for shrink in _SHRINK]),
        "ease": (_ease, [{"ridge": ridge} for ridge in _RIDGES]),
    }
    make, grid = makers[name]
    chosen = _best_of(grid, lambda settings: make(fold.watched, **settings), fold, seed, on_progress) if len(grid) > 1 else grid[0]
    return Fit(make(final, **chosen), dict(chosen))


def _best_of(
    grid: Iterable[dict[str, float]],
    make: Callable[[dict[str, float]], Scores],
    fold: Fold,
    seed: int,
    on_progress: Callable[[int], None] | None,
) -> dict[str, float]:
    """The settings with the largest √(recall · NDCG) on a sample of the users who have something to be found."""
    users = np.random.default_rng(seed).permutation(np.flatnonzero(np.diff(fold.wanted.indptr)))[:_JUDGES]
    measured: list[tuple[float, dict[str, float]]] = []
    for settings in grid:
        scores = make(settings)
        lists = np.concatenate([best(scores(users[at : at + _BLOCK]), fold.watched[users[at : at + _BLOCK]]) for at in range(0, len(users), _BLOCK)])
        recall, ndcg = quality(lists, fold.wanted[users])
        measured.append((float(recall.mean() * ndcg.mean()) ** 0.5, settings))
        if on_progress:
            on_progress(1)
    return max(measured, key=lambda one: one[0])[1]


def _popular(watched: csr_array) -> Scores:
    counts = np.asarray(watched.sum(axis=0), dtype=np.float32).ravel()
    return lambda users: np.tile(counts, (len(users), 1))


def _item_knn(watched: csr_array, neighbours: float, shrink: float) -> Scores:
    """Cosine of the videos' watchers, shrunk, the nearest of each video (Sarwar et al. 2001)."""
    counts = np.asarray(watched.sum(axis=0), dtype=np.float64).ravel()
    together = csr_array(watched.T @ watched)
    rows = owners(together)
    cosines = together.data / (np.sqrt(counts[rows] * counts[together.indices]) + shrink)
    cosines[rows == together.indices] = 0
    order = np.lexsort((-cosines, rows))
    kept = order[(np.arange(len(order)) - together.indptr[rows[order]]) < neighbours]
    nearest = csr_array((cosines[kept].astype(np.float32), (rows[kept], together.indices[kept])), shape=size(together))
    return lambda users: (watched[users] @ nearest).toarray().astype(np.float32)


def _ease(watched: csr_array, ridge: float) -> Scores:
    """The closed form of Steck 2019 over the most-watched videos; the others are never found."""
    counts = np.asarray(watched.sum(axis=0)).ravel()
    videos = np.sort(np.argsort(-counts, kind="stable")[:_MOST_EASE])
    history = csr_array(watched[:, videos])
    gram = (history.T @ history).toarray().astype(np.float32)
    gram[np.diag_indices(len(gram))] += ridge
    weights = inv(gram, overwrite_a=True)
    weights /= -np.diag(weights).copy()
    np.fill_diagonal(weights, 0)

    def scores(users: Rows) -> Floats:
        found = np.full((len(users), size(watched)[1]), -np.inf, dtype=np.float32)
        found[:, videos] = history[users] @ weights
        return found

    return scores


def _lightgcn(fold: Fold, final: csr_array, seed: int, on_progress: Callable[[int], None] | None) -> Fit:
    """Trained until validation no longer gains; trained again for as long where that held pairs back."""
    config = train_lightgcn.LightGcnConfig()
    tuned = train_lightgcn.train(fold.watched, config, seed, wanted=fold.wanted, on_progress=on_progress)
    fitted = tuned if final is fold.watched else train_lightgcn.train(final, config, seed, epochs=tuned.epochs, on_progress=on_progress)
    return Fit(lambda users: fitted.users[users] @ fitted.videos.T, {"epochs": tuned.epochs, "layers": config.layers, "width": config.width})

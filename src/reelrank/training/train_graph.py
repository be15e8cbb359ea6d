"""Trains the graph that recall reads: engagements in, vectors of videos out, their shape chosen on what was held out."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from reelrank.domain.arrays import Floats, Rows
from reelrank.evaluation import retrieval
from reelrank.models.edges import owners, size
from reelrank.models.graph_vectors import GraphShape, GraphVectors, Spectrum, spectrum, vectors
from reelrank.training.coordinate_search import Settings, climb
from reelrank.training.folds import Fold

Features = Floats | csr_array

AT = 50  # the length of the lists that are judged: what a source proposes
_WIDEST = 128
_JUDGES = 3_000  # users that a choice is measured on, at most
_HELD_OUT = 0.1
LADDERS: Mapping[str, tuple[float, ...]] = {
    "power": (0.25, 0.5, 0.75, 1.0, 1.5, 2.0),
    "out_exponent": (0.0, 0.25, 0.5, 0.75, 1.0),
    "in_exponent": (0.0, 0.25, 0.5, 0.75, 1.0),
    "width": (16, 32, 64, _WIDEST),
    "ridge": (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
    "lean": (0.0, 0.1, 0.2, 0.5, 1.0, 2.0),
    "trust": (0.0, 2.0, 5.0, 15.0, 50.0, 150.0),
}
_NEUTRAL = GraphShape()


class Trained(NamedTuple):
    """Vectors, the shape they have, and how lists of 50 did on what was held out."""

    vectors: GraphVectors
    shape: GraphShape
    recall: float


def train(
    users: Rows, rows: Rows, amounts: Floats, videos: int, features: Features | None, seed: int = 0, on_progress: Callable[[int], None] | None = None
) -> Trained:
    """Learns from engagements: user `users[j]` (dense numbers) engaged `amounts[j]` > 0 much with video `rows[j]`; equal pairs add up.

    `videos` counts all of them, `features` (videos, f) is their content. A tenth of the videos is hidden and a tenth of
    the other pairs held out to choose the shape; then all are learnt from. Raises ValueError where there is too
    little to hold out.
    """
    watched = csr_array((amounts, (users, rows)), shape=(int(users.max(initial=-1)) + 1, videos))
    watched.sum_duplicates()
    rng = np.random.default_rng(seed)
    pair_users, out = owners(watched), rng.random(watched.nnz) < _HELD_OUT
    hidden = hide(np.asarray(watched.sum(axis=0)).ravel(), _HELD_OUT, rng) if features is not None else np.zeros(videos, dtype=np.bool_)
    out |= hidden[watched.indices]
    fold = Fold(_part(watched, pair_users, ~out), _part(watched, pair_users, out))
    shape, recall = choose([fold], features, seed, on_progress)
    return Trained(vectors(spectrum(watched, shape.width), shape, features), shape, recall)


def choose(folds: Sequence[Fold], features: Features | None, seed: int = 0, on_progress: Callable[[int], None] | None = None) -> tuple[GraphShape, float]:
    """The shape whose lists of 50 find most of what the folds held out, and its recall over the users of all of them."""
    made = [_judged(fold, seed) for fold in folds]

    def value(settings: Settings) -> float:
        shape = _shape(settings)
        return float(np.concatenate([recall_of(vectors(graph, shape, features), fold.watched, fold.wanted, fold.among) for graph, fold in made]).mean())

    ladders = {name: ladder for name, ladder in LADDERS.items() if features is not None or name not in ("ridge", "trust")}
    found = climb(ladders, {name: getattr(_NEUTRAL, name) for name in ladders}, value, on_progress=on_progress)
    return _shape(found.settings), found.value


def _judged(fold: Fold, seed: int) -> tuple[Spectrum, Fold]:
    """What is learnt from a fold, and the fold with only the users who judge: a seeded sample of those who have both sides."""
    users = np.flatnonzero((np.diff(fold.wanted.indptr) > 0) & (np.diff(fold.watched.indptr) > 0))
    if len(users) == 0:
        raise ValueError("nobody has both a pair to learn from and one that was held out; a graph needs more engagements")
    users = np.sort(np.random.default_rng(seed).permutation(users)[:_JUDGES])
    return spectrum(fold.watched, _WIDEST), Fold(fold.watched[users], fold.wanted[users], fold.among)


def recall_of(found: GraphVectors, histories: csr_array, wanted: csr_array, among: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Recall@50 of the lists for the owners of `histories` (n, v) against `wanted` (n, v): (n,)."""
    return recall_at(histories @ found.reads @ found.finds.T, histories, wanted, among)


def recall_at(scores: Floats, histories: csr_array, wanted: csr_array, among: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Recall@50 of `scores` (n, v), which are overwritten where a history knows the video or it is not `among` those listed: (n,)."""
    scores[owners(histories), histories.indices] = -np.inf
    if among is not None:
        scores[:, ~among] = -np.inf
    hits = retrieval.found(retrieval.top(scores, AT), wanted.indptr.astype(np.int64), wanted.indices.astype(np.int64))
    return retrieval.recall(hits, np.diff(wanted.indptr).astype(np.int64))


def hide(watched: NDArray[np.floating], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Marks `share` of the videos, as many of the popular as of the rare ones, given how much each was `watched` (v,): (v,)."""
    order = np.lexsort((rng.random(len(watched)), watched))
    every = round(1 / share)
    strata = np.arange(len(order)) // every
    chosen = np.unique(strata) * every + rng.integers(every, size=len(np.unique(strata)))
    hidden = np.zeros(len(watched), dtype=np.bool_)
    hidden[order[chosen[chosen < len(order)]]] = True
    return hidden


def _part(watched: csr_array, users: Rows, keep: NDArray[np.bool_]) -> csr_array:
    return csr_array((watched.data[keep], (users[keep], watched.indices[keep])), shape=size(watched))


def _shape(settings: Mapping[str, float]) -> GraphShape:
    return msgspec.convert(dict(settings), GraphShape, strict=False)

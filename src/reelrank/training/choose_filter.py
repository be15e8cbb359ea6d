"""Chooses the shape of a graph filter on pairs that were held out, and scores users with it in blocks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from reelrank.domain.arrays import Floats, Rows
from reelrank.evaluation import retrieval
from reelrank.models import content_space
from reelrank.models.content_space import kernel_features
from reelrank.models.edges import owners, size
from reelrank.models.graph_filter import FilterShape, GraphFilter, Parts, Smoother, likeness_graph
from reelrank.training.coordinate_search import Settings, climb
from reelrank.training.folds import Fold

AT = 20  # the length of the lists that are judged
_NEIGHBOURS = 10  # by content, of each video
_FEATURES = 512  # of the content kernel
_SCORES = 40_000_000  # that lie in memory at a time for each part: bounds the users that take part in the choice
_MOST_HOPS = 4
_HOPS = (-1.5, -1.0, -0.6, -0.3, -0.1, 0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
_LIKE = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
LADDERS: Mapping[str, tuple[float, ...]] = {
    "hop_2": _HOPS,
    "hop_3": _HOPS,
    "hop_4": _HOPS,
    "out_exponent": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    "in_exponent": (0.0, 0.25, 0.5, 0.75, 1.0),
    "user_exponent": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
}
NEUTRAL: Mapping[str, float] = {"hop_2": 0.0, "hop_3": 0.0, "hop_4": 0.0, "out_exponent": 0.5, "in_exponent": 0.5, "user_exponent": 0.5}
_CONTENT: Mapping[str, tuple[float, ...]] = {"flow": (0.0, 0.5, 1.0, 2.0, 4.0), "ridge": (1.0, 3.0, 10.0, 30.0)}
_CONTENT_NEUTRAL: Mapping[str, float] = {"flow": 0.0, "ridge": 3.0}


class Chosen(NamedTuple):
    """The shape that did best, and how it did."""

    shape: FilterShape
    ridge: float  # of what content predicts
    recall: float  # at 20, on the held-out pairs
    ndcg: float
    tried: int

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return {"shape": msgspec.to_builtins(self.shape), "ridge": self.ridge, "validation": {"recall_at_20": self.recall, "ndcg_at_20": self.ndcg}}


class Content:
    """What is known of the videos' content, made ready once: a likeness graph for each kind, and kernel features of all."""

    def __init__(self, kinds: Sequence[Floats], seed: int) -> None:
        self.graphs = [likeness_graph(vectors, _NEIGHBOURS) for vectors in kinds]
        self.features = kernel_features(kinds, _FEATURES, np.random.default_rng(seed)) if kinds else None

    def smoother(self, ridge: float, watched: csr_array) -> Smoother | None:
        """What content predicts, at this ridge, learnt from the videos that were `watched` (users, v) at all."""
        known = np.bincount(watched.indices, minlength=size(watched)[1]) > 0
        return None if self.features is None else content_space.smoother(self.features, ridge, known)


class _Judges:
    """Users who have something to be found, what the filter says to them, and what came of it; keeps what the next setting shares."""

    def __init__(self, fold: Fold, content: Content, seed: int) -> None:
        users = np.flatnonzero(np.diff(fold.wanted.indptr))
        if len(users) == 0:
            raise ValueError("nobody has a pair that was held out; hold out a larger share")
        users = np.sort(np.random.default_rng(seed).permutation(users)[: max(_SCORES // size(fold.watched)[1], 1)])
        self._watched, self._content = fold.watched, content
        self._histories, self._wanted, self._model = fold.watched[users], fold.wanted[users], GraphFilter(fold.watched, content.graphs)
        self._parts: dict[tuple[float, float], Parts] = {}
        self._smoothers: dict[float, Smoother | None] = {}

    def quality(self, shape: FilterShape, ridge: float) -> tuple[float, float]:
        """Mean recall and NDCG of lists of 20."""
        exponents = (shape.user_exponent, shape.in_exponent)
        if exponents not in self._parts:
            self._parts.clear()
            self._parts[exponents] = self._model.parts(self._histories, *exponents, hops=_MOST_HOPS)
        if shape.flow and ridge not in self._smoothers:
            self._smoothers = {ridge: self._content.smoother(ridge, self._watched)}
        scores = self._model.combine(self._parts[exponents], shape, self._smoothers[ridge] if shape.flow else None)
        recall, ndcg = quality(best(scores, self._histories), self._wanted)
        return float(recall.mean()), float(ndcg.mean())


def choose(fold: Fold, content: Content, seed: int, on_progress: Callable[[int], None] | None = None) -> Chosen:
    """Searches the shape whose lists of 20 find most of what was held out, by √(recall · NDCG).

    Where users x videos are too many, a seeded sample of the users decides.
    """
    judges = _Judges(fold, content, seed)

    def value(settings: Settings) -> float:
        return float(np.prod(judges.quality(_shape(settings, len(content.graphs)), settings.get("ridge", 0.0))) ** 0.5)

    ladders, start = dict(LADDERS), dict(NEUTRAL)
    if content.graphs:
        likes = [f"like_{kind}" for kind in range(len(content.graphs))]
        ladders |= {**dict.fromkeys(likes, _LIKE), **_CONTENT}
        start |= {**dict.fromkeys(likes, 0.0), **_CONTENT_NEUTRAL}
    found = climb(ladders, start, value, on_progress=on_progress)
    shape, ridge = _shape(found.settings, len(content.graphs)), found.settings.get("ridge", 0.0)
    return Chosen(shape, ridge, *judges.quality(shape, ridge), found.tried)


def scorer(watched: csr_array, content: Content, chosen: Chosen) -> Callable[[Rows], Floats]:
    """The chosen filter over `watched` (users, v): from rows of users (n,) to their scores (n, v)."""
    model, smoother = GraphFilter(watched, content.graphs), content.smoother(chosen.ridge, watched) if chosen.shape.flow else None
    return lambda users: model.scores(watched[users], chosen.shape, smoother)


def best(scores: Floats, known: csr_array) -> Rows:
    """The 20 best videos of each row of `scores` (n, v), without the known ones; overwrites the scores of those."""
    scores[owners(known), known.indices] = -np.inf
    return retrieval.top(scores, AT)


def quality(lists: Rows, wanted: csr_array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall and NDCG of each list (n, k) against `wanted` (n, v)."""
    hits = retrieval.found(lists, wanted.indptr.astype(np.int64), wanted.indices.astype(np.int64))
    relevant = np.diff(wanted.indptr).astype(np.int64)
    return retrieval.recall(hits, relevant), retrieval.ndcg(hits, relevant)


def _shape(settings: Mapping[str, float], graphs: int) -> FilterShape:
    hops = (1.0, *(settings[f"hop_{hop}"] for hop in range(2, _MOST_HOPS + 1)))
    last = max(place for place, weight in enumerate(hops) if weight)  # hops that weigh nothing cost nothing
    return FilterShape(
        user_exponent=settings["user_exponent"],
        in_exponent=settings["in_exponent"],
        out_exponent=settings["out_exponent"],
        hops=hops[: last + 1],
        like_watched=tuple(settings[f"like_{kind}"] for kind in range(graphs)),
        flow=settings.get("flow", 0.0),
    )

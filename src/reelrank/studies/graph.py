"""Graph benchmarks: Recall@20 and NDCG@20 of our graph and of its peers on any folder of (user, video) pairs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelrank.evaluation.retrieval import paired_interval
from reelrank.models.edges import size
from reelrank.studies import pair_peers, pairs
from reelrank.studies.pair_peers import PEERS, Fit
from reelrank.studies.pairs import PairSet
from reelrank.training import choose_filter
from reelrank.training.choose_filter import Content, best, quality

OURS = "reelrank"
MODELS = (OURS, *PEERS)
_BLOCK = 500  # users scored at a time


def evaluate(folder: Path, models: Sequence[str] = MODELS, seeds: int = 1, on_progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Mean and spread over seeds of Recall@20 and NDCG@20 on the test pairs, over all videos that a user does not know yet.

    All choices are made on the validation pairs; where the folder has none, on a tenth of each user's training pairs,
    after which the model is fitted on all of them. The differences to our model are paired by user, with 95 %
    intervals, on the first seed. `on_progress` hears 1 for each setting that was measured. Raises ValueError for a
    model that nobody knows.
    """
    unknown = [name for name in models if name not in MODELS]
    if unknown:
        raise ValueError(f"no model {unknown[0]!r}; known: {', '.join(MODELS)}")
    data = pairs.load(folder)
    users = np.flatnonzero(np.diff(data.test.indptr))
    told: dict[str, Any] = {}
    first: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for name in models:
        runs, chosen = [], []
        for seed in range(seeds):
            fit = _fit(name, data, seed, on_progress)
            lists = np.concatenate([best(fit.scores(block), data.known[block]) for block in _blocks(users)])
            runs.append(quality(lists, data.test[users]))
            chosen.append(fit.chosen)
        first[name] = runs[0]
        told[name] = {metric: _spread([float(run[place].mean()) for run in runs]) for place, metric in enumerate(("recall_at_20", "ndcg_at_20"))}
        told[name]["chosen"] = chosen
    return {
        "dataset": data.name,
        "users": len(users),
        "videos": size(data.train)[1],
        "pairs": {"train": data.train.nnz, "validation": None if data.validation is None else data.validation.nnz, "test": data.test.nnz},
        "seeds": seeds,
        "models": told,
        "ahead_of": _ahead(first) if OURS in first else {},
    }


def _fit(name: str, data: PairSet, seed: int, on_progress: Callable[[int], None] | None) -> Fit:
    """Chooses on validation, then fits on the training pairs: all of them, whatever was held out for the choice."""
    watched, wanted = (data.train, data.validation) if data.validation is not None else pairs.held_out(data.train, pairs.HELD_OUT, np.random.default_rng(seed))
    if name != OURS:
        return pair_peers.fit(name, watched, wanted, data.train, seed, on_progress)
    content = Content(list(data.content.values()), seed)
    chosen = choose_filter.choose(watched, wanted, content, seed, on_progress=on_progress)
    return Fit(choose_filter.scorer(data.train, content, chosen), chosen.told())


def _blocks(users: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [users[start : start + _BLOCK] for start in range(0, len(users), _BLOCK)]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0}


def _ahead(first: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> dict[str, Any]:
    """By how much our model is ahead of each other one."""
    ours = first[OURS]
    return {
        name: {
            metric: dict(zip(("mean", "lo", "hi"), paired_interval(ours[place], theirs[place]), strict=True))
            for place, metric in enumerate(("recall_at_20", "ndcg_at_20"))
        }
        for name, theirs in first.items()
        if name != OURS
    }

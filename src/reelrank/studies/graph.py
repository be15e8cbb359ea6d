"""Graph benchmarks: Recall@20 and NDCG@20 of our graph and of its peers on any folder of (user, video) pairs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from reelrank.evaluation.retrieval import paired_interval
from reelrank.models.edges import size
from reelrank.simulation.kuairand import DataError
from reelrank.studies import pair_peers, pairs
from reelrank.studies.pair_peers import PEERS, Fit
from reelrank.studies.pairs import PairSet
from reelrank.training import choose_filter
from reelrank.training.choose_filter import Content, best, quality
from reelrank.training.folds import Fold

OURS = "reelrank"
MODELS = (OURS, *PEERS)
_BLOCK = 500  # users scored at a time


def evaluate(
    folder: Path, models: Sequence[str] = MODELS, seeds: int = 1, on_progress: Callable[[int], None] | None = None, refit: bool = True
) -> dict[str, Any]:
    """Mean and spread over seeds of Recall@20 and NDCG@20 on the test pairs, over all videos that a user does not know yet.

    All choices are made on the validation pairs, or where the folder has none, on training pairs that are held out. Then
    all models are fitted on everything that is known before the test; without `refit`, on the training pairs alone, as
    in most papers. The differences to our model are paired by user, with 95 % intervals, on the first seed.
    `on_progress` hears 1 for each setting that was measured. Raises ValueError for a model that nobody knows, DataError for
    files that say nothing. A single user makes no difference.
    """
    unknown = [name for name in models if name not in MODELS]
    if unknown:
        raise ValueError(f"no model {unknown[0]!r}; known: {', '.join(MODELS)}")
    data = pairs.load(folder)
    known = data.known
    users, final = np.flatnonzero(np.diff(data.test.indptr)), known if refit else data.train
    told: dict[str, Any] = {}
    first: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for name in models:
        runs, chosen = [], []
        for seed in range(seeds):
            fit = _fit(name, data, final, seed, on_progress)
            lists = np.concatenate([best(fit.scores(block), known[block]) for block in _blocks(users)])
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
        "fitted_on": "train" if final is data.train else "train and validation",
        "models": told,
        "ahead_of": _ahead(first) if OURS in first and len(users) > 1 else {},
    }


def _fit(name: str, data: PairSet, final: csr_array, seed: int, on_progress: Callable[[int], None] | None) -> Fit:
    """Chooses on validation, then fits on `final`."""
    fold = Fold(data.train, data.validation) if data.validation is not None else _held_out(data, seed)
    if name != OURS:
        return pair_peers.fit(name, fold, final, seed, on_progress)
    content = Content(list(data.content.values()), seed)
    chosen = choose_filter.choose(fold, content, seed, on_progress)
    return Fit(choose_filter.scorer(final, content, chosen), chosen.told())


def _held_out(data: PairSet, seed: int) -> Fold:
    """As large a share of each user's training pairs as the test took of all: a choice should be asked what the test will ask."""
    share = data.test.nnz / (data.train.nnz + data.test.nnz)
    left, out = pairs.held_out(data.train, share, np.random.default_rng(seed))
    if out.nnz == 0:
        raise DataError(f"of the {data.train.nnz} training pairs of {data.name} none could be held out, as nobody loses the last: give a validation.parquet")
    return Fold(left, out)


def _blocks(users: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [users[start : start + _BLOCK] for start in range(0, len(users), _BLOCK)]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0}


def _ahead(first: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> dict[str, Any]:
    """By how much our model is ahead of each other one."""
    ours = first[OURS]
    return {
        name: {metric: paired_interval(ours[place], theirs[place])._asdict() for place, metric in enumerate(("recall_at_20", "ndcg_at_20"))}
        for name, theirs in first.items()
        if name != OURS
    }

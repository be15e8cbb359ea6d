"""Peers of the ranker: gradient-boosted trees (LightGBM), on counts up to the day before and on the columns of our feature stream."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelrank.features.definitions import FEATURES
from reelrank.studies.peer_features import daily_features
from reelrank.training.examples import TrainingSet

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

HEADS = ("click", "long_view", "like")
ROUNDS, PATIENCE = 600, 40
_HELD_OUT = 2 / 8  # of the time of the training rows: the last quarter says when to stop, and which trees
_SETTLED: dict[str, Any] = {"learning_rate": 0.05, "feature_fraction": 0.6, "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 10.0, "verbose": -1}
SEARCHED: tuple[dict[str, Any], ...] = (
    {"num_leaves": 15, "min_child_samples": 50},
    {"num_leaves": 31, "min_child_samples": 100},
    {"num_leaves": 63, "min_child_samples": 200},
)  # tried for each head


class PeerMissing(RuntimeError):
    """A peer can't run here; the message says why and how to install what it needs."""


def lightgbm(training_set: TrainingSet, folder: Path, train: Flags, test: Flags, seed: int = 0) -> dict[str, Floats]:
    """Trees on what is known at the end of the day before: a prediction of each head and of `watch_s` for the m test rows. Raises PeerMissing."""
    columns = daily_features(folder)
    return _fit_predict(np.stack(list(columns.values()), axis=1), tuple(columns), training_set, train, test, seed)


def lightgbm_stream(training_set: TrainingSet, _folder: Path, train: Flags, test: Flags, seed: int = 0) -> dict[str, Floats]:
    """The same trees on the features that a feed would have read at that moment: what they lack against the ranker, its network adds. Raises PeerMissing."""
    examples = training_set.examples
    features = np.column_stack([examples.features, examples.surface.astype(np.float32)])
    return _fit_predict(features, (*(feature.name for feature in FEATURES), "surface"), training_set, train, test, seed)


def library() -> ModuleType:
    """LightGBM. Raises PeerMissing."""
    try:
        import lightgbm as trees  # of the tools of development: nothing that serves needs it
    except ImportError as error:
        raise PeerMissing(f"LightGBM is not installed ({error}): `make setup` installs it, or: pip install lightgbm") from error
    return trees


def late_of(training_set: TrainingSet, train: Flags) -> Flags:
    """Which examples are served in the last part of the time of the training rows: those that peers choose their settings on."""
    served_at = training_set.examples.served_at
    begins, ends = float(served_at[train].min()), float(served_at[train].max())
    return served_at > ends - _HELD_OUT * (ends - begins)


def _fit_predict(features: NDArray[np.float32], names: tuple[str, ...], training_set: TrainingSet, train: Flags, test: Flags, seed: int) -> dict[str, Floats]:
    examples = training_set.examples
    late = late_of(training_set, train)
    found: dict[str, Floats] = {}
    for head in (*HEADS, "watch_s"):
        wanted = examples.watched_s if head == "watch_s" else examples.label(head)
        known = train & ~np.isnan(wanted)
        objective = {"objective": "l1"} if head == "watch_s" else {"objective": "binary"}
        found[head] = _best(features, names, wanted, known & ~late, known & late, test, {**objective, "seed": seed, "deterministic": True, **_SETTLED})
    return found


def _best(
    features: NDArray[np.float32], names: tuple[str, ...], wanted: NDArray[np.float32], fit: Flags, held_out: Flags, test: Flags, settings: Mapping[str, Any]
) -> Floats:
    """The test rows by the settings that do best on the held-out rows, fitted again on both."""
    trees = library()
    about: dict[str, Any] = {"feature_name": list(names), "categorical_feature": [name for name in ("surface",) if name in names]}
    about |= {"params": {"feature_pre_filter": False, "verbose": -1}, "free_raw_data": False}
    together = trees.Dataset(features[fit | held_out], wanted[fit | held_out], **about)
    early = trees.Dataset(features[fit], wanted[fit], reference=together, **about)
    later = trees.Dataset(features[held_out], wanted[held_out], reference=together, **about)
    best: tuple[float, int, dict[str, Any]] | None = None
    for searched in SEARCHED:
        tried = {**settings, **searched}
        model = trees.train(tried, early, ROUNDS, valid_sets=[later], callbacks=[trees.early_stopping(PATIENCE, verbose=False)])
        loss = float(next(iter(model.best_score["valid_0"].values())))
        if best is None or loss < best[0]:
            best = loss, model.best_iteration, tried
    assert best is not None
    _, rounds, chosen = best
    model = trees.train(chosen, together, rounds)
    return np.asarray(model.predict(features[test]), dtype=np.float64)

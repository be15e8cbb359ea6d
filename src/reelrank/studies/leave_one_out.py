"""Leave-one-out on sequences (`user item item …` a line): the user tower mixed with directed item-to-item, against its peers.

All items are ranked, those of the user's history aside; every choice is made on the validation items. Models learn from
what comes before the validation item, as published results on such files do; the history that the test is predicted
from holds the validation item.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from reelrank.evaluation import retrieval
from reelrank.studies.sequence_data import SHORTEST, K, SequencesError, places, read
from reelrank.studies.sequence_models import FITS, UNSEEDED, Job, SequenceSettings

Report = Callable[[int], None]

MODELS = tuple(FITS)

_METRICS = {"recall_at_10": retrieval.recall_of_places, "ndcg_at_10": retrieval.ndcg_of_places}


def evaluate(
    path: Path,
    models: Sequence[str] = MODELS,
    seeds: int = 1,
    on_progress: Report = lambda _: None,
    settings: SequenceSettings | None = None,
) -> dict[str, Any]:
    """Recall@10 and NDCG@10 on the test items of `path`, for each model over the seeds 0 … `seeds` - 1, and how reelrank differs from each.

    `differences` are paired by user, reelrank minus the other, both averaged over their seeds: mean and 95 % interval.
    `on_progress` is told of every step and trial. Raises SequencesError for models nobody knows, and for sequences too short to learn an
    order from. A single user makes no difference.
    """
    if unknown := [name for name in models if name not in MODELS]:
        raise SequencesError(f"no model {unknown[0]!r}; known: {', '.join(MODELS)}")
    settings = settings or SequenceSettings()
    data = read(path)
    ordered = [name for name in models if name not in UNSEEDED]
    if ordered and np.diff(data.start).max() <= SHORTEST:
        unordered = ",".join(name for name in MODELS if name in UNSEEDED)
        raise SequencesError(
            f"no user of {path} has more than {SHORTEST} items, and two of each are kept for the choice and the test: nothing tells {', '.join(ordered)} what "
            f"follows what; give longer sequences, or --models {unordered}"
        )
    test = data.split(1)
    answers: dict[str, dict[str, Any]] = {}
    by_user: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name in models:
        runs, chosen = [], []
        for seed in [0] if name in UNSEEDED else range(seeds):
            scorer, choice = FITS[name](Job(data, seed, settings, on_progress))
            found = places(scorer, test)
            runs.append({metric: measure(found, K) for metric, measure in _METRICS.items()})
            chosen.append(choice)
        by_user[name] = {metric: np.mean([run[metric] for run in runs], axis=0) for metric in _METRICS}
        per_seed = {metric: [float(run[metric].mean()) for run in runs] for metric in _METRICS}
        answers[name] = {metric: {"mean": float(np.mean(values)), "sd": _spread(values)} for metric, values in per_seed.items()}
        answers[name] |= {"per_seed": per_seed, "chosen": chosen}
    return {
        "dataset": data.name,
        "size": {"users": data.users, "items": len(data.items), "interactions": len(data.rows)},
        "protocol": "leave one out; all items ranked that the history does not hold; learned from what comes before the validation item",
        "models": answers,
        "differences": {
            name: _difference(by_user["reelrank"], by_user[name]) for name in models if name != "reelrank" and "reelrank" in models and data.users > 1
        },
        "settings": msgspec.to_builtins(settings) | {"seeds": seeds},
    }


def _difference(ours: dict[str, NDArray[np.float64]], theirs: dict[str, NDArray[np.float64]]) -> dict[str, dict[str, float]]:
    return {metric: retrieval.paired_interval(ours[metric], theirs[metric])._asdict() for metric in _METRICS}


def _spread(values: Sequence[float]) -> float:
    """The standard deviation over seeds, 0 for one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0

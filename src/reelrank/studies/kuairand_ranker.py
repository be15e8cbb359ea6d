"""`evaluate kuairand`: our ranker and its peers on a public log, each judged by what it said before the outcome was known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelrank.evaluation.calibration_error import calibration_error
from reelrank.evaluation.paired import auc_shares, interval
from reelrank.evaluation.prediction import auc, gauc, user_days
from reelrank.evaluation.watch_error import mean_error_s, xauc
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.models.sessions import RankerSession
from reelrank.simulation.kuairand import BEIJING, Exposures
from reelrank.studies import peer_lightgbm
from reelrank.studies.kuairand_examples import examples_of
from reelrank.training.calibration import calibrate
from reelrank.training.examples import TrainingSet
from reelrank.training.export import export
from reelrank.training.score_examples import score_examples
from reelrank.training.train_ranker import refit, train

Mask = NDArray[np.bool_]  # (n,) which exposures
Predictions = Mapping[str, NDArray[np.floating]]  # head or "watch_s" -> (m,) for the test rows
Errors = dict[str, tuple[float, float]]  # head -> its calibration error without and with calibration
FitPredict = Callable[[TrainingSet, Path, Mask, Mask, int], Predictions]  # set, folder of the log, train rows, test rows, seed
OnProgress = Callable[[int], None]  # told how many more steps, rows or exposures are done

OURS = "reelrank"
PEERS: dict[str, FitPredict] = {"lightgbm": peer_lightgbm.lightgbm, "lightgbm_stream": peer_lightgbm.lightgbm_stream}
MODELS = (OURS, *PEERS)
RANKED = ("long_view", "click", "like")
VALIDATION_DAYS = 2
_LENGTHS = (0, 10, 30, 60, 120)  # tokens in the history


@dataclass(frozen=True, slots=True)
class Split:
    """Which exposures are learned from, chosen by and judged."""

    train: Mask
    validation: Mask
    test: Mask

    @classmethod
    def of(cls, days: NDArray[np.int64], test_from: int, test_until: int) -> "Split":
        """The days from `test_from` to `test_until` (as 20220505, both included) are judged; the two before them are the validation."""
        chosen_from = datetime.strptime(str(test_from), "%Y%m%d").replace(tzinfo=BEIJING) - timedelta(days=VALIDATION_DAYS)
        train, known = days < int(chosen_from.strftime("%Y%m%d")), days < test_from
        return cls(train, known & ~train, ~known & (days <= test_until))


def evaluate(
    folder: Path, cache: Path, models: Sequence[str], seeds: int, test_from: int, test_until: int, on_progress: OnProgress = lambda _: None
) -> dict[str, Any]:
    """Scores some of MODELS on the exposures of the test days (as 20220505), each trained by so many seeds. All choices are made before them."""
    data, exposures = examples_of(folder, cache, on_progress)
    split = Split.of(exposures.days, test_from, test_until)
    test = _Test(data, exposures, split.test)
    said: dict[str, list[Predictions]] = {name: [] for name in models}
    errors: list[Errors] = []
    for seed in range(seeds):
        for name in models:
            if name == OURS:
                with TemporaryDirectory() as scratch:
                    predictions, calibration_errors = fit_predict(data, split, RankerSettings(), seed, Path(scratch), on_progress)
                errors.append(calibration_errors)
            else:
                predictions = PEERS[name](data, folder, split.train | split.validation, split.test, seed)
            said[name].append(predictions)
    numbers: dict[str, Any] = {
        "dataset": "kuairand",
        "rows": {"train": int(split.train.sum()), "validation": int(split.validation.sum()), "test": int(split.test.sum())},
        "models": {name: _summary([test.metrics(one) for one in several]) for name, several in said.items()},
    }
    if ours := said.get(OURS):
        numbers["above"] = {name: {head: test.above(head, ours, several) for head in RANKED} for name, several in said.items() if name != OURS}
        numbers["calibration_error"] = {head: {"before": _mean(errors, head, 0), "after": _mean(errors, head, 1)} for head in errors[0]}
        numbers["by_history"] = test.by_history(ours)
    return numbers


def fit_predict(
    data: TrainingSet, split: Split, settings: RankerSettings, seed: int, scratch: Path, on_progress: OnProgress = lambda _: None
) -> tuple[Predictions, Errors]:
    """What our ranker says of the test rows, as it would serve, and each head's calibration error without and with calibration.

    The validation chooses the number of epochs and the calibration; then it is learned from as well.
    """
    some = {name: replace(data, examples=data.examples.take(getattr(split, name))) for name in ("train", "validation", "test")}
    known = replace(data, examples=data.examples.take(split.train | split.validation))
    chosen = train(some["train"], some["validation"], settings, seed, scratch / "chosen", on_progress)
    export(chosen, {}, scratch / "judged")
    calibration = calibrate(chosen.heads, some["validation"].examples, score_examples(RankerSession(scratch / "judged"), some["validation"])[0])
    export(refit(chosen, known, seed, scratch / "all", on_progress), calibration, scratch / "artifact")
    session = RankerSession(scratch / "artifact")
    logits, watch_s = score_examples(session, some["test"], on_progress)
    predictions = session.predictions(logits, watch_s)
    errors = {}
    for place, head in enumerate(session.heads):
        happened = some["test"].examples.label(head) > 0
        errors[head] = (calibration_error(happened, 1 / (1 + np.exp(-logits[:, place]))), calibration_error(happened, _scores(predictions, head)))
    return predictions, errors


class _Test:
    """The test rows, and how to judge what was said of them."""

    def __init__(self, data: TrainingSet, exposures: Exposures, rows: Mask) -> None:
        judged = replace(data, examples=data.examples.take(rows))
        self._examples = judged.examples
        self._days = user_days(exposures.user_ids[rows], exposures.days[rows])
        self._history = judged.history_ends - data.tokens.start[judged.examples.user]

    def metrics(self, said: Predictions) -> dict[str, float]:
        found = {f"auc_{head}": auc(self._happened(head), _scores(said, head)) for head in RANKED}
        found |= {f"gauc_{head}": gauc(self._happened(head), _scores(said, head), self._days) for head in RANKED}
        watched_s, predicted_s = self._examples.watched_s.astype(np.float64), _scores(said, "watch_s")
        return {**found, "watch_mae_s": mean_error_s(watched_s, predicted_s), "watch_xauc": xauc(watched_s, predicted_s)}

    def above(self, head: str, ours: Sequence[Predictions], theirs: Sequence[Predictions]) -> dict[str, float]:
        """By how much our AUC is above theirs, paired by user; each side's mean over its seeds."""
        happened = self._happened(head)
        one, other = (np.mean([auc_shares(happened, _scores(said, head)) for said in several], axis=0) for several in (ours, theirs))
        return interval(one - other, self._examples.user)._asdict()

    def by_history(self, ours: Sequence[Predictions]) -> list[dict[str, float]]:
        """Our AUC by how much the user had done."""
        lines = []
        for least, beyond in zip(_LENGTHS, (*_LENGTHS[1:], np.inf), strict=True):
            rows = (self._history >= least) & (self._history < beyond)
            areas = {f"auc_{head}": float(np.mean([auc(self._happened(head)[rows], _scores(said, head)[rows]) for said in ours])) for head in RANKED[:2]}
            lines.append({"tokens_from": least, "rows": int(rows.sum()), **areas})
        return lines

    def _happened(self, head: str) -> Mask:
        return self._examples.label(head) > 0


def _scores(said: Predictions, head: str) -> NDArray[np.float64]:
    return np.asarray(said[head], dtype=np.float64)


def _summary(metrics: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    values = {name: [one[name] for one in metrics] for name in (metrics[0] if metrics else ())}
    return {name: {"mean": float(np.mean(found)), "sd": float(np.std(found)), "seeds": found} for name, found in values.items()}


def _mean(errors: Sequence[Errors], head: str, which: int) -> float:
    return float(np.mean([of[head][which] for of in errors]))

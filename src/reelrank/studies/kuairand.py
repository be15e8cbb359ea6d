"""`evaluate kuairand`: our ranker and its peers on a public log, each judged by what it said before the outcome was known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelrank.evaluation.calibration_error import calibration_error
from reelrank.evaluation.intervals import auc_difference
from reelrank.evaluation.prediction import auc, gauc, user_days
from reelrank.evaluation.watch_error import mean_error_s, xauc
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.models.sessions import RankerSession
from reelrank.simulation.kuairand import Exposures
from reelrank.studies.kuairand_examples import examples_of
from reelrank.training.calibration import calibrate
from reelrank.training.examples import TrainingSet
from reelrank.training.export import export
from reelrank.training.score_examples import score_examples
from reelrank.training.train_ranker import refit, train

Mask = NDArray[np.bool_]  # (n,) which exposures
Predictions = Mapping[str, NDArray[np.floating]]  # head or "watch_s" -> (m,) for the test rows
FitPredict = Callable[[TrainingSet, Path, Mask, Mask, int], Predictions]  # set, folder of the log, train rows, test rows, seed
OnProgress = Callable[[str], None]  # told what is done next

OURS = "reelrank"
GROUPED = ("long_view", "click")  # common enough for AUC within a user's day
RANKED = (*GROUPED, "like")
VALIDATION_DAYS = 2
_LENGTHS = (0, 10, 30, 60, 120)  # tokens in the history


@dataclass(frozen=True, slots=True)
class Split:
    """Which exposures are learned from, chosen by and judged."""

    train: Mask
    validation: Mask
    test: Mask

    @classmethod
    def of(cls, days: NDArray[np.int64], test_from: date, test_until: date) -> "Split":
        """The days from `test_from` to `test_until`, both included, are judged; the two before them are the validation."""
        chosen_from = test_from - timedelta(days=VALIDATION_DAYS)
        train, known = days < _number(chosen_from), days < _number(test_from)
        return cls(train, known & ~train, ~known & (days <= _number(test_until)))


def evaluate(
    folder: Path, cache: Path, peers: Mapping[str, FitPredict], seeds: Sequence[int], test_from: date, test_until: date,
    settings: RankerSettings | None = None, on_progress: OnProgress = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Scores our ranker and `peers` on the exposures of the test days. All choices are made before them."""
    on_progress("the log through the system")
    data, exposures = examples_of(folder, cache)
    split = Split.of(exposures.days, test_from, test_until)
    test = _Test(data, exposures, split.test)
    predicted: dict[str, list[Predictions]] = {OURS: []}
    errors: list[dict[str, tuple[float, float]]] = []
    for seed in seeds:
        on_progress(f"{OURS}, seed {seed}")
        with TemporaryDirectory() as scratch:
            ours, calibration_errors = fit_predict(data, split, settings or RankerSettings(), seed, Path(scratch))
        predicted[OURS].append(ours)
        errors.append(calibration_errors)
        for name, peer in peers.items():
            on_progress(f"{name}, seed {seed}")
            predicted.setdefault(name, []).append(peer(data, folder, split.train | split.validation, split.test, seed))
    return {
        "rows": {"train": int(split.train.sum()), "validation": int(split.validation.sum()), "test": int(split.test.sum())},
        "models": {name: _summary([test.metrics(one) for one in several]) for name, several in predicted.items()},
        "above": {name: {head: test.above(head, predicted[OURS], several) for head in RANKED} for name, several in predicted.items() if name != OURS},
        "calibration_error": {head: {"before": _mean(errors, head, 0), "after": _mean(errors, head, 1)} for head in errors[0]} if errors else {},
        "by_history": test.by_history(predicted[OURS]),
    }


def fit_predict(data: TrainingSet, split: Split, settings: RankerSettings, seed: int, scratch: Path) -> tuple[Predictions, dict[str, tuple[float, float]]]:
    """What our ranker says of the test rows, as it would serve, and each head's calibration error without and with calibration.

    The validation chooses the number of epochs and the calibration; then it is learned from as well.
    """
    some = {name: replace(data, examples=data.examples.take(getattr(split, name))) for name in ("train", "validation", "test")}
    known = replace(data, examples=data.examples.take(split.train | split.validation))
    chosen = train(some["train"], some["validation"], settings, seed, scratch / "chosen")
    export(chosen, {}, scratch / "judged")
    calibration = calibrate(chosen.heads, some["validation"].examples, score_examples(RankerSession(scratch / "judged"), some["validation"])[0])
    export(refit(chosen, known, seed, scratch / "all"), calibration, scratch / "artifact")
    session = RankerSession(scratch / "artifact")
    logits, watch_s = score_examples(session, some["test"])
    predictions = session.predictions(logits, watch_s)
    errors = {}
    for place, head in enumerate(session.heads):
        happened = some["test"].examples.label(head) > 0
        errors[head] = (calibration_error(happened, 1 / (1 + np.exp(-logits[:, place]))), calibration_error(happened, predictions[head]))
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
        found |= {f"gauc_{head}": gauc(self._happened(head), _scores(said, head), self._days) for head in GROUPED}
        watched_s, predicted_s = self._examples.watched_s.astype(np.float64), _scores(said, "watch_s")
        return {**found, "watch_mae_s": mean_error_s(watched_s, predicted_s), "watch_xauc": xauc(watched_s, predicted_s)}

    def above(self, head: str, ours: Sequence[Predictions], theirs: Sequence[Predictions]) -> dict[str, float]:
        """By how much our AUC is above theirs."""
        one, other = ([_scores(said, head) for said in several] for several in (ours, theirs))
        return auc_difference(self._happened(head), one, other, self._examples.user)._asdict()

    def by_history(self, ours: Sequence[Predictions]) -> list[dict[str, float]]:
        """Our AUC by how much the user had done."""
        lines = []
        for least, beyond in zip(_LENGTHS, (*_LENGTHS[1:], np.inf), strict=True):
            rows = (self._history >= least) & (self._history < beyond)
            areas = {f"auc_{head}": float(np.mean([auc(self._happened(head)[rows], _scores(said, head)[rows]) for said in ours])) for head in GROUPED}
            lines.append({"tokens_from": least, "rows": int(rows.sum()), **areas})
        return lines

    def _happened(self, head: str) -> Mask:
        return self._examples.label(head) > 0


def _scores(said: Predictions, head: str) -> NDArray[np.float64]:
    return np.asarray(said[head], dtype=np.float64)


def _summary(metrics: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    values = {name: [one[name] for one in metrics] for name in (metrics[0] if metrics else ())}
    return {name: {"mean": float(np.mean(found)), "sd": float(np.std(found)), "seeds": found} for name, found in values.items()}


def _mean(errors: Sequence[Mapping[str, tuple[float, float]]], head: str, which: int) -> float:
    return float(np.mean([of[head][which] for of in errors]))


def _number(day: date) -> int:
    """As the log writes it."""
    return day.year * 10_000 + day.month * 100 + day.day

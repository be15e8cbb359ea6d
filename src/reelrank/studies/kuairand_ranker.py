"""`evaluate kuairand`: our ranker and its peers on a public log, each judged by what it said before the outcome was known."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.evaluation.calibration_error import calibration_error
from reelrank.evaluation.paired import auc_shares, gauc_shares, interval
from reelrank.evaluation.prediction import auc, user_days
from reelrank.evaluation.watch_error import xauc_shares
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.models.sessions import RankerSession
from reelrank.simulation.kuairand import BEIJING, Exposures, KuaiRand, refuse_empty
from reelrank.studies import peer_lightgbm, peer_networks
from reelrank.studies.kuairand_examples import examples_of
from reelrank.studies.peer_lightgbm import PeerMissing
from reelrank.training.calibration import calibrate
from reelrank.training.examples import TrainingSet
from reelrank.training.export import export
from reelrank.training.score_examples import score_examples
from reelrank.training.train_ranker import refit, train

Mask = NDArray[np.bool_]  # (n,) which exposures
Predictions = Mapping[str, NDArray[np.floating]]  # head or "watch_s" -> (m,) for the test rows
Errors = dict[str, tuple[float, float]]  # head -> its calibration error without and with calibration
Shares = dict[str, NDArray[np.float64]]  # measure -> (m,) what each test row adds to it; their mean is the measure, nan counts nowhere
FitPredict = Callable[[TrainingSet, Path, Mask, Mask, int], Predictions]  # set, folder of the log, train rows, test rows, seed
OnProgress = Callable[[int], None]  # told how many more steps, rows or exposures are done


class Peer(NamedTuple):
    """A model that ours is compared with."""

    fit_predict: FitPredict
    needs: Callable[[], object]  # raises PeerMissing where it can't run


OURS = "reelrank"
PEERS = {
    "lightgbm": Peer(peer_lightgbm.lightgbm, peer_lightgbm.library),
    "lightgbm_stream": Peer(peer_lightgbm.lightgbm_stream, peer_lightgbm.library),
    "din": Peer(peer_networks.din, peer_networks.interpreter),
    "mmoe": Peer(peer_networks.mmoe, peer_networks.interpreter),
}
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
        """The days from `test_from` to `test_until` (as 20220505, both included) are judged; the two before them are the validation.

        Raises DataError if there is nothing to judge, to choose by or to learn from.
        """
        before = datetime.strptime(str(test_from), "%Y%m%d").replace(tzinfo=BEIJING) - timedelta(days=VALIDATION_DAYS)
        chosen_from = int(before.strftime("%Y%m%d"))
        train, known = days < chosen_from, days < test_from
        split = cls(train, known & ~train, ~known & (days <= test_until))
        parts = {
            f"from {test_from} until {test_until} to judge": int(split.test.sum()),
            f"before {chosen_from} to learn from": int(split.train.sum()),
            f"from {chosen_from} until the day before {test_from} to choose by": int(split.validation.sum()),
        }
        refuse_empty(parts, (int(days.min()), int(days.max())))
        return split


def evaluate(
    folder: Path, cache: Path, models: Sequence[str] | None, seeds: int, test_from: int, test_until: int, on_progress: OnProgress = lambda _: None,
    settings: RankerSettings | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Scores MODELS on the exposures of the test days (as 20220505), each trained by so many seeds. All choices are made before them.

    With `models` only those, and PeerMissing is raised before anything is trained if one of them can't run here. Without, such
    peers are left out; so is whoever fails later. `skipped` says who and why. Raises DataError for days that the log does not have.
    """
    names = models or (OURS, *PEERS)
    skipped = _missing(names)
    if models and skipped:
        raise PeerMissing("; ".join(f"{name}: {reason}" for name, reason in skipped.items()))
    split = Split.of(KuaiRand(folder).exposures().days, test_from, test_until)  # refuses days before minutes are spent on examples
    data, exposures = examples_of(folder, cache, on_progress)
    test = _Test(data, exposures, split.test)
    shares: dict[str, list[Shares]] = {name: [] for name in names}
    ours: list[Predictions] = []
    errors: list[Errors] = []
    for seed, name in itertools.product(range(seeds), names):
        if name in skipped:
            continue
        if name == OURS:
            with TemporaryDirectory() as scratch:
                predictions, calibration_errors = fit_predict(data, split, settings or RankerSettings(), seed, Path(scratch), on_progress)
            ours.append(predictions)
            errors.append(calibration_errors)
        else:
            try:
                predictions = PEERS[name].fit_predict(data, folder, split.train | split.validation, split.test, seed)
            except PeerMissing as problem:
                skipped[name] = str(problem)
                continue
        shares[name].append(test.shares(predictions))
    judged = {name: several for name, several in shares.items() if name not in skipped}
    numbers: dict[str, Any] = {
        "dataset": "kuairand",
        "rows": {"train": int(split.train.sum()), "validation": int(split.validation.sum()), "test": int(split.test.sum())},
        "models": {name: _summary(several) for name, several in judged.items()},
        "skipped": skipped,
    }
    if ours:
        numbers["above"] = {name: test.above(judged[OURS], several) for name, several in judged.items() if name != OURS}
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

    def shares(self, said: Predictions) -> Shares:
        """Of every measure that can be read from what was said: nobody has to say how long people watch."""
        found = {f"auc_{head}": auc_shares(self._happened(head), _scores(said, head)) for head in RANKED}
        found |= {f"gauc_{head}": gauc_shares(self._happened(head), _scores(said, head), self._days) for head in RANKED}
        if "watch_s" in said:
            watched_s, predicted_s = self._examples.watched_s.astype(np.float64), _scores(said, "watch_s")
            found |= {"watch_mae_s": np.abs(watched_s - predicted_s), "watch_xauc": xauc_shares(watched_s, predicted_s)}
        return found

    def above(self, ours: Sequence[Shares], theirs: Sequence[Shares]) -> dict[str, dict[str, float]]:
        """By how much we are better than they, paired by user, each side's mean over its seeds: an AUC by its head alone, an error by how much smaller."""
        found = {}
        for measure in (name for name in ours[0] if name in theirs[0]):
            one, other = (np.mean([shares[measure] for shares in several], axis=0) for several in (ours, theirs))
            better = other - one if measure == "watch_mae_s" else one - other
            found[measure.removeprefix("auc_")] = interval(better, self._examples.user)._asdict()
        return found

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


def _missing(names: Sequence[str]) -> dict[str, str]:
    """Which of these peers can't run here, and why."""
    found: dict[str, str] = {}
    for name in names:
        if name in PEERS:
            try:
                PEERS[name].needs()
            except PeerMissing as problem:
                found[name] = str(problem)
    return found


def _summary(shares: Sequence[Shares]) -> dict[str, Any]:
    """Every measure over the seeds."""
    values = {name: [_measure(one[name]) for one in shares] for name in shares[0]}
    return {name: {"mean": float(np.mean(found)), "sd": float(np.std(found)), "seeds": found} for name, found in values.items()}


def _measure(shares: NDArray[np.float64]) -> float:
    known = shares[~np.isnan(shares)]
    return float(known.mean()) if len(known) else float("nan")


def _mean(errors: Sequence[Errors], head: str, which: int) -> float:
    return float(np.mean([of[head][which] for of in errors]))

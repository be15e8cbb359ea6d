"""What it is worth that serving follows learning closely: one ranker learns through the test days, its copy is synced now and then.

Each exposure is predicted by the copy of its moment, then, once its watch is over, it is learned from. In every arm the
features and the history are as of the exposure: only the age of the weights differs (after Monolith, Liu et al. 2022, §3).
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows
from reelrank.evaluation.paired import auc_shares, interval
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.models.shifts import Shifts
from reelrank.simulation.kuairand import KuaiRand
from reelrank.studies.kuairand_examples import examples_of
from reelrank.studies.kuairand_ranker import Split
from reelrank.training.examples import TrainingSet
from reelrank.training.online_config import LearnerConfig
from reelrank.training.online_learner import OnlineLearner
from reelrank.training.online_ranker import OnlineRanker
from reelrank.training.ranker_data import Trained
from reelrank.training.train_ranker import refit, train

SYNCS = {"daily": 86_400.0, "5h": 18_000.0, "1h": 3_600.0, "10min": 600.0, "1min": 60.0, "event": 0.0}
HEADS = ("long_view", "click")
RATES = (LearnerConfig(user_rate=0.2, row_rate=0.0, dense_rate=0.0), LearnerConfig(user_rate=0.2, row_rate=0.002, dense_rate=1e-5))
_TOGETHER_S = 5.0  # what is shown within so long is predicted together, what becomes known within so long is learned together
_WARM_UP = 20_000  # newest examples that the optimizers are told of, so that their first steps have the right size
_BATCH = 256

OnProgress = Callable[[int], None]
Scores = dict[str, NDArray[np.float64]]  # head -> (n,)


def evaluate(
    folder: Path, cache: Path, on_progress: OnProgress = lambda _: None, test_from: int = 20220505, test_until: int = 20220506,
    settings: RankerSettings | None = None, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """AUCs of long view and click on the test days (as 20220505) by how often the serving copy is synced, with 95 % intervals over users.

    The validation days choose the epochs and the learning rates, each on a ranker that has not seen them.
    """
    split = Split.of(KuaiRand(folder).exposures().days, test_from, test_until)  # refuses days before minutes are spent on examples
    data, _ = examples_of(folder, cache, on_progress)
    some = {name: _some(data, getattr(split, name)) for name in ("train", "validation", "test")}
    known = _some(data, split.train | split.validation)
    with TemporaryDirectory() as scratch:
        chosen = train(some["train"], some["validation"], settings or RankerSettings(), seed, Path(scratch) / "chosen", on_progress)
        rates = choose_rates(chosen, some["train"], some["validation"], on_progress)
        trained = refit(chosen, known, seed, Path(scratch) / "all", on_progress)
    return {"dataset": "kuairand", **follow(trained, known, some["test"], rates, on_progress=on_progress)}


def choose_rates(chosen: Trained, before: TrainingSet, validation: TrainingSet, on_progress: OnProgress = lambda _: None) -> LearnerConfig:
    """The rates of RATES with the best mean AUC on the validation days, synced every minute."""
    judged = []
    for rates in RATES:
        found = follow(copy.deepcopy(chosen), before, validation, rates, ["1min"], on_progress)
        judged.append(np.mean([found[head]["auc_by_sync"]["1min"]["mean"] for head in HEADS]))
    return RATES[int(np.argmax(judged))]


def follow(
    trained: Trained,
    before: TrainingSet,
    test: TrainingSet,
    rates: LearnerConfig,
    syncs: Sequence[str] = tuple(SYNCS),
    on_progress: OnProgress = lambda _: None,
) -> dict[str, Any]:
    """Lets a ranker learn through `test`, in order of time, and measures copies of it that are synced at each of `syncs`."""
    learner = OnlineLearner(OnlineRanker(trained, {}, Shifts.none(len(trained.heads)), float(test.examples.served_at[0])), rates)
    newest = np.arange(len(before.examples))[-_WARM_UP:]
    for first in range(0, len(newest), _BATCH):
        learner.observe(narrowed(before, newest[first : first + _BATCH]))
        on_progress(min(_BATCH, len(newest) - first))
    scores = _through(learner, test, [SYNCS[name] for name in syncs], on_progress)
    found: dict[str, Any] = {"rates": msgspec.to_builtins(rates), "exposures": len(test.examples)}
    for head in HEADS:
        happened = test.examples.label(head) > 0
        shares = {name: auc_shares(happened, of_arm[head]) for name, of_arm in zip(syncs, scores, strict=True)}
        by_sync = {name: interval(values, test.examples.user)._asdict() for name, values in shares.items()}
        found[head] = {"auc_by_sync": by_sync}
        if "daily" in shares:
            found[head]["above_daily"] = {name: interval(values - shares["daily"], test.examples.user)._asdict() for name, values in shares.items()}
    return {**found, "auc_by_sync": found["long_view"]["auc_by_sync"]}


def narrowed(data: TrainingSet, which: Rows) -> TrainingSet:
    """Some of the examples, with the histories of their users alone."""
    examples = data.examples.take(which)
    users, place = np.unique(examples.user, return_inverse=True)
    return TrainingSet(replace(examples, user=place), data.tokens.of(users), data.traits, data.user_ids[users])


class _Moment(NamedTuple):
    """What is shown, and what has become known by then: places in the examples."""

    at: float
    known: Rows
    shown: Rows


def _through(learner: OnlineLearner, test: TrainingSet, every_s: Sequence[float], on_progress: OnProgress) -> list[Scores]:
    """The scores of each arm, whose copy is synced every so many seconds; 0: always."""
    ranker = learner.model
    assert isinstance(ranker, OnlineRanker)
    logits = [np.full((len(test.examples), len(ranker.heads)), np.nan) for _ in every_s]
    copies = [copy.deepcopy(ranker) if every else ranker for every in every_s]
    begin = float(np.floor(test.examples.served_at[0] / 3_600.0) * 3_600.0)
    synced = [0 for _ in every_s]
    for moment in _moments(test):
        for arm, every in enumerate(every_s):  # before what has become known since the last boundary is learned
            if every and (number := int((moment.at - begin) // every)) > synced[arm]:
                copies[arm], synced[arm] = copy.deepcopy(ranker), number
        if len(moment.known):
            learner.learn(narrowed(test, moment.known))
        if len(moment.shown):
            seen = narrowed(test, moment.shown)
            for arm, model in enumerate(copies):
                logits[arm][moment.shown] = model.predict(seen)
        on_progress(len(moment.shown))
    return [{head: of_arm[:, ranker.heads.index(head)] for head in HEADS} for of_arm in logits]


def _moments(test: TrainingSet) -> Iterator[_Moment]:
    """The test days in steps: what became known before a step begins, and what is shown in it."""
    served_at, known_at = test.examples.served_at, test.examples.known_at
    steps = np.floor(served_at / _TOGETHER_S).astype(np.int64)
    in_order = np.argsort(known_at, kind="stable")
    boundaries = np.flatnonzero(np.diff(steps, prepend=steps[0] - 1))
    done = 0
    for first, last in zip(boundaries, [*boundaries[1:], len(steps)], strict=True):
        at = float(steps[first] * _TOGETHER_S)
        upto = int(np.searchsorted(known_at[in_order], at, side="right"))
        yield _Moment(at, np.sort(in_order[done:upto]), np.arange(first, last))
        done = upto


def _some(data: TrainingSet, which: NDArray[np.bool_]) -> TrainingSet:
    return replace(data, examples=data.examples.take(which))

"""Retrains models of a deployment from its lake, each through its gates."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from reelrank.candidates.graph_neighbours import GRAPH
from reelrank.domain.clock import Clock
from reelrank.features.columns import VideoColumns
from reelrank.models.row_updates import ROWS_FROM
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.event_log import EXAMPLES, MODEL_ROWS, EventLog, StorageError
from reelrank.storage.lake import Lake
from reelrank.storage.last_runs import How, LastRun, LastRuns
from reelrank.training.examples import ExamplesError, TrainingSet
from reelrank.training.judge_ranker import RankerJudge, parity
from reelrank.training.lake_examples import FromLake, from_lake
from reelrank.training.log_examples import reserved
from reelrank.training.online import Positions
from reelrank.training.online_config import TrainConfig
from reelrank.training.publish import PARITY, About, Verdict, publish
from reelrank.training.retrain_graph import retrain_graph
from reelrank.training.retrain_ranker import RANKER, held_out_of, retrain_ranker
from reelrank.training.retrain_two_tower import TWO_TOWER, retrain_two_tower
from reelrank.training.run_folders import RunPlan, begin, interrupted
from reelrank.training.unreadable import Unreadable

OnProgress = Callable[[int], None]

_DAY_S = 86_400.0
NAMES = (RANKER, TWO_TOWER, GRAPH)


class Retraining:
    """What is learned, from where and to where. Raises ExamplesError where there is too little to learn from."""

    def __init__(self, log: EventLog, lake: Lake, columns: VideoColumns, artifacts: ArtifactStore, clock: Clock, runs: Path, config: TrainConfig) -> None:
        self.artifacts = artifacts
        self.config = config
        self.last_runs = LastRuns(artifacts.root)
        self._log = log
        self._lake = lake
        self._columns = columns
        self._clock = clock
        self._runs = runs

    def retrain(self, name: str, seed: int = 0, on_progress: OnProgress = lambda _: None, anyway: bool = False, data: TrainingSet | None = None) -> Verdict:
        """Trains the model `name` from the lake, or from `data`, and publishes it if the gates let it; called again after a kill it goes on from there.

        What came of it is kept as the last run, also if it failed.
        """
        if name not in NAMES:
            raise ExamplesError(f"no model {name!r} to train; known: {', '.join(NAMES)}")
        began = time.monotonic()
        try:
            verdict = self._trained(name, seed, on_progress, anyway, data)
        except (ExamplesError, StorageError):
            raise  # it has not begun: there is too little to learn from, or a store is away
        except Exception as problem:
            seconds, told = round(time.monotonic() - began, 1), f"{type(problem).__name__}: {problem}"
            self.last_runs.keep(LastRun(model=name, outcome="failed", ended_at=self._clock.now(), seconds=seconds, problem=told))
            raise
        self.note(verdict, "anew", time.monotonic() - began)
        return verdict

    def note(self, verdict: Verdict, how: How, seconds: float) -> None:
        """Keeps what came of a training that took so long as the last run."""
        gains = {name: found.mean for name, found in verdict.differences.items() if math.isfinite(found.mean)}
        run = LastRun(
            model=verdict.name,
            how=how,
            outcome="published" if verdict.published else "refused",
            ended_at=self._clock.now(),
            seconds=round(seconds, 1),
            version=verdict.version,
            reasons=verdict.reasons,
            metrics=verdict.metrics,
            gains=gains,
        )
        self.last_runs.keep(run)

    def publish(self, name: str, candidate: Path, about: About, anyway: bool = False) -> Verdict:
        """Publishes the files in the folder `candidate` if the gates let it, judged by what nobody has learned from."""
        if name != RANKER:
            raise ExamplesError(f"only {RANKER} is published from a folder, not {name!r}; train and index publish the others")
        held_out = held_out_of(self.examples(least=1).training_set, self.config.gate)
        try:
            told: About = {**self._ends().about(), **about, PARITY: parity(candidate, held_out), ROWS_FROM: self._log.end(MODEL_ROWS, 0)}
        except Unreadable as problem:  # what can't be learned on from must not go live, however well it would serve
            return Verdict(name=name, against=self.artifacts.live(name), reasons=(str(problem),))
        return publish(self.artifacts, name, candidate, RankerJudge(held_out), self._clock, told, self.config.gate, anyway)

    def examples(self, least: int | None = None) -> FromLake:
        """What there is to learn from."""
        config = self.config
        found = from_lake(self._lake, self._columns, max(self._clock.now() - config.days * _DAY_S, 0.0), config.at_most, self._log.partitions)
        least = config.min_examples if least is None else least
        if (there := len(found.training_set.examples)) < least:
            raise ExamplesError(f"{there:,} examples in the lake, left out: {found.left_out}; {least:,} are needed")
        if not reserved(found.training_set).any():
            raise ExamplesError(f"none of the {there:,} examples in the lake is reserved, so nothing can be judged; gather more of them")
        return found

    def _trained(self, name: str, seed: int, on_progress: OnProgress, anyway: bool, data: TrainingSet | None) -> Verdict:
        config, now = self.config, self._clock.now()
        learned_by = [config.gate, config.ranker] if name == RANKER else [config.gate]
        plan = RunPlan(seed=seed, settings=msgspec.json.encode(learned_by).decode(), given=0 if data is None else len(data.examples))
        with interrupted(self._runs / name, plan, now, data) or begin(self._runs / name, plan, now, *self._to_learn(data)) as run:
            if name == TWO_TOWER:
                return retrain_two_tower(run.training_set, self.artifacts, run.folder, self._clock, config.gate, seed, on_progress, anyway)
            if name == GRAPH:
                return retrain_graph(run.training_set, self.artifacts, run.folder, self._clock, config.gate, seed, on_progress, anyway)
            return retrain_ranker(run.training_set, self.artifacts, run.folder, self._clock, config.ranker, config.gate, run.about, seed, on_progress, anyway)

    def _to_learn(self, data: TrainingSet | None) -> tuple[TrainingSet, About]:
        """What a new run learns from, and where in the log those go on who learn on top of it."""
        if data is not None:
            training_set, positions = data, self._ends()
        else:
            found = self.examples()
            training_set, positions = found.training_set, Positions(found.offsets, found.origins)
        return training_set, {**positions.about(), ROWS_FROM: self._log.end(MODEL_ROWS, 0)}

    def _ends(self) -> Positions:
        """All examples there are now."""
        return Positions({partition: self._log.end(EXAMPLES, partition) for partition in range(self._log.partitions)})

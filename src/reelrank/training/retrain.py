"""Retrains models of a deployment from its lake, each through its gates."""

import shutil
from collections.abc import Callable
from pathlib import Path

from reelrank.candidates.graph_neighbours import GRAPH
from reelrank.domain.clock import Clock
from reelrank.features.columns import VideoColumns
from reelrank.models.row_updates import ROWS_FROM
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.event_log import EXAMPLES, MODEL_ROWS, EventLog
from reelrank.storage.lake import Lake
from reelrank.training.examples import ExamplesError, TrainingSet
from reelrank.training.judge_ranker import RankerJudge
from reelrank.training.lake_examples import FromLake, from_lake
from reelrank.training.log_examples import reserved
from reelrank.training.online import Positions
from reelrank.training.online_config import TrainConfig
from reelrank.training.publish import About, Verdict, publish
from reelrank.training.retrain_graph import retrain_graph
from reelrank.training.retrain_ranker import RANKER, held_out_of, retrain_ranker
from reelrank.training.retrain_two_tower import TWO_TOWER, retrain_two_tower

OnProgress = Callable[[int], None]

_DAY_S = 86_400.0
_KEPT_RUNS = 3
NAMES = (RANKER, TWO_TOWER, GRAPH)


class Retraining:
    """What is learned, from where and to where. Raises ExamplesError where there is too little to learn from."""

    def __init__(self, log: EventLog, lake: Lake, columns: VideoColumns, artifacts: ArtifactStore, clock: Clock, runs: Path, config: TrainConfig) -> None:
        self.artifacts = artifacts
        self.config = config
        self._log = log
        self._lake = lake
        self._columns = columns
        self._clock = clock
        self._runs = runs

    def retrain(self, name: str, seed: int = 0, on_progress: OnProgress = lambda _: None, anyway: bool = False, data: TrainingSet | None = None) -> Verdict:
        """Trains the model `name` from the lake, or from `data`, and publishes it if the gates let it."""
        now = self._clock.now()
        run = self._run_of(name, now)
        found = self.examples() if data is None else None
        training_set = data if found is None else found.training_set
        assert training_set is not None
        if name == TWO_TOWER:
            return retrain_two_tower(training_set, self.artifacts, run, now, self.config.gate, seed, on_progress, anyway)
        if name == GRAPH:
            return retrain_graph(training_set, self.artifacts, run, now, self.config.gate, seed, on_progress, anyway)
        if name != RANKER:
            raise ExamplesError(f"no model {name!r} to train; known: {', '.join(NAMES)}")
        positions = self._ends() if found is None else Positions(found.offsets, found.origins)
        about: About = {**positions.about(), ROWS_FROM: self._log.end(MODEL_ROWS, 0)}
        return retrain_ranker(training_set, self.artifacts, run, now, self.config.ranker, self.config.gate, about, seed, on_progress, anyway)

    def publish(self, name: str, candidate: Path, about: About, anyway: bool = False) -> Verdict:
        """Publishes the files in the folder `candidate` if the gates let it, judged by what nobody has learned from."""
        if name != RANKER:
            raise ExamplesError(f"no gates for {name!r}; known: {RANKER}")
        judge = RankerJudge(held_out_of(self.examples(least=1).training_set, self.config.gate))
        told: About = {**self._ends().about(), **about, ROWS_FROM: self._log.end(MODEL_ROWS, 0)}
        return publish(self.artifacts, name, candidate, judge, self._clock.now(), told, self.config.gate, anyway)

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

    def _run_of(self, name: str, now: float) -> Path:
        """The folder of a new run; of those before, the last few stay."""
        home = self._runs / name
        before = sorted(home.iterdir()) if home.exists() else []
        for old in before[: max(len(before) - _KEPT_RUNS + 1, 0)]:
            shutil.rmtree(old, ignore_errors=True)
        return home / f"{now:015.3f}"

    def _ends(self) -> Positions:
        """All examples there are now."""
        return Positions({partition: self._log.end(EXAMPLES, partition) for partition in range(self._log.partitions)})

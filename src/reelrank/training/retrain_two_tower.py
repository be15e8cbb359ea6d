"""Retrains the two towers: histories → candidate → gates → live version."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from reelrank.domain.clock import Clock
from reelrank.models.ranker_inputs import VideoTraits
from reelrank.models.tower_session import TowerSession
from reelrank.storage.artifacts import ArtifactStore
from reelrank.training.examples import ExamplesError, TrainingSet
from reelrank.training.export_two_tower import export
from reelrank.training.later_watches import LaterWatches, judged_from
from reelrank.training.publish import GateConfig, Judged, Unfit, Verdict, predicted, publish
from reelrank.training.ranker_data import traits_of
from reelrank.training.train_two_tower import TwoTowerTraining, train

TWO_TOWER = "two_tower"
_AT = 100  # the length of the lists that are judged: what a source proposes


def retrain_two_tower(
    training_set: TrainingSet, artifacts: ArtifactStore, run: Path, clock: Clock, gate: GateConfig | None = None, seed: int = 0,
    on_progress: Callable[[int], None] = lambda _: None, anyway: bool = False, training: TwoTowerTraining | None = None,
) -> Verdict:  # fmt: skip
    """Trains on what was known before the newest tenth of all watches, and judges candidate and live version by who watched what in it."""
    validate_from = judged_from(training_set.tokens)
    training = training or TwoTowerTraining(seed=seed)
    try:
        towers, _ = train(training_set, validate_from, training=training, folder=run, on_progress=on_progress)
    except ValueError as problem:
        raise ExamplesError(str(problem)) from problem
    candidate = run / "candidate"
    shutil.rmtree(candidate, ignore_errors=True)
    export(towers, training.window, candidate)
    judge = TowerJudge(LaterWatches.of(training_set.tokens, validate_from), traits_of(training_set))
    about = {"data_until": validate_from, "users": len(training_set.user_ids)}
    return publish(artifacts, TWO_TOWER, candidate, judge, clock, about, gate, anyway)


class TowerJudge:
    """What users watched after a moment, and how much of it towers find with what was known before."""

    def __init__(self, later: LaterWatches, traits: VideoTraits) -> None:
        self._later = later
        self._traits = traits

    def __call__(self, folder: Path) -> Judged:
        try:
            session = TowerSession(folder)
            videos = session.videos(np.arange(len(self._traits.author)), self._traits)
            users = np.stack([self._user(session, user) for user in self._later.user.tolist()])
        except Exception as problem:  # whatever damaged files or another release's do to a session
            raise Unfit(f"it can't be loaded: {problem}") from problem
        found = self._later.recalls(predicted("user", users).astype(np.float32), predicted("video", videos).astype(np.float32), _AT)
        return Judged(self._later.user, {f"recall_at_{_AT}": found})

    def _user(self, session: TowerSession, user: int) -> np.ndarray:
        vector = session.user(self._later.before.of(np.array([user])), self._traits)
        return np.zeros(session.width, dtype=np.float32) if vector is None else vector

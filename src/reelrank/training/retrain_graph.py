"""Retrains the graph: engagements → candidate → gates → live version."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from reelrank.candidates.graph_neighbours import GRAPH
from reelrank.domain.clock import Clock
from reelrank.features.tokens import Tokens
from reelrank.models.graph_vectors import GraphVectors, edges
from reelrank.storage.artifacts import ArtifactStore
from reelrank.training.examples import ExamplesError, TrainingSet
from reelrank.training.later_watches import LaterWatches, judged_from
from reelrank.training.publish import GateConfig, Judged, Unfit, Verdict, predicted, publish
from reelrank.training.train_graph import AT, train
from reelrank.training.video_content import content_of


def retrain_graph(
    training_set: TrainingSet, artifacts: ArtifactStore, run: Path, clock: Clock, gate: GateConfig | None = None, seed: int = 0,
    on_progress: Callable[[int], None] = lambda _: None, anyway: bool = False,
) -> Verdict:  # fmt: skip
    """Learns from what was known before the newest tenth of all watches, and judges candidate and live version by who watched what in it."""
    validate_from = judged_from(training_set.tokens)
    later = LaterWatches.of(training_set.tokens, validate_from)
    if len(later.user) == 0:
        raise ExamplesError(f"nobody watched a new video long after {validate_from:.0f}, so a graph can't be judged; gather more watches")
    traits = training_set.traits
    try:
        trained = train(*_edges_of(later.before), len(traits), content_of(traits), seed, on_progress)
    except ValueError as problem:
        raise ExamplesError(str(problem)) from problem
    candidate = run / "candidate"
    shutil.rmtree(candidate, ignore_errors=True)
    candidate.mkdir(parents=True)
    trained.vectors.write(candidate)
    (candidate / "shape.json").write_bytes(msgspec.json.format(msgspec.json.encode(trained.shape)))
    about = {"data_until": validate_from, "users": len(training_set.user_ids)}
    return publish(artifacts, GRAPH, candidate, GraphJudge(later), clock, about, gate, anyway)


class GraphJudge:
    """What users watched after a moment, and how much of it vectors find with what was known before."""

    def __init__(self, later: LaterWatches) -> None:
        self._later = later

    def __call__(self, folder: Path) -> Judged:
        try:
            model = GraphVectors.mapped(folder)
        except Exception as problem:  # whatever damaged files do to their reader
            raise Unfit(f"it can't be loaded: {problem}") from problem
        owner, rows, amounts = _edges_of(self._later.before)
        ends = np.searchsorted(owner, self._later.user, side="right")
        begins = np.searchsorted(owner, self._later.user)
        users = np.stack([model.user(rows[begin:end], amounts[begin:end]) for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)])
        found = self._later.recalls(predicted("user", users).astype(np.float32), predicted("video", model.finds).astype(np.float32), AT)
        return Judged(self._later.user, {f"recall_at_{AT}": found})


def _edges_of(tokens: Tokens) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return edges(tokens.owner, tokens.video, tokens.actions)

"""The graph of a deployment: learned from engagements, judged by what came later, published through the gates."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reelrank.candidates.graph_neighbours import GRAPH
from reelrank.domain.clock import ManualClock
from reelrank.features.tokens import Action
from reelrank.models.graph_vectors import GraphVectors, edges
from reelrank.storage.artifacts import ArtifactStore
from reelrank.training.examples import ExamplesError, TrainingSet
from reelrank.training.publish import GateConfig
from reelrank.training.retrain_graph import retrain_graph
from training import bare

NOW = 1_700_000_000.0
PEOPLE, VIDEOS, WATCHED = 60, 40, 12


def circles(seed: int = 0) -> TrainingSet:
    """Two circles of people and of videos; everybody watches long what is of their own circle, and nothing else."""
    rng = np.random.default_rng(seed)
    videos = [rng.permutation(VIDEOS // 2)[:WATCHED] * 2 + person % 2 for person in range(PEOPLE)]
    at = np.sort(rng.random((PEOPLE, WATCHED)), axis=1).ravel() * 86_400 + NOW
    traits = bare.traits(VIDEOS, author=np.arange(VIDEOS) % 2, uploaded_at=np.full(VIDEOS, NOW))
    nothing = np.empty(0, dtype=np.int64)
    return TrainingSet(
        bare.examples(nothing, nothing, np.empty(0)), bare.tokens(videos, occurred_at=at), traits, np.array([f"user {person}" for person in range(PEOPLE)])
    )


def test_what_a_circle_watches_is_found_by_what_was_published(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path / "artifacts")
    verdict = retrain_graph(circles(), artifacts, tmp_path / "run", ManualClock(NOW), GateConfig(min_users=2))
    assert verdict.published and verdict.metrics["recall_at_50"] > 0.9
    model = GraphVectors.mapped(artifacts.current(GRAPH).folder)
    scores = model.scores(np.array([0, 2]), np.ones(2, dtype=np.float32))
    assert scores[4::2].min() > scores[1::2].max()


def test_another_one_that_is_as_good_takes_its_place_and_names_it(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path / "artifacts")
    first = retrain_graph(circles(), artifacts, tmp_path / "first", ManualClock(NOW), GateConfig(min_users=2))
    second = retrain_graph(circles(), artifacts, tmp_path / "second", ManualClock(NOW + 1), GateConfig(min_users=2))
    assert second.published and second.against == first.version


def test_where_nobody_watched_anything_later_it_says_so(tmp_path: Path) -> None:
    data = circles()
    early = data.tokens._replace(occurred_at=np.full(len(data.tokens.video), NOW))
    clicked = early._replace(actions=np.full(len(early.video), Action.CLICK, dtype=np.uint8))
    for tokens in (early.before(np.zeros(PEOPLE)), clicked):
        with pytest.raises(ExamplesError, match=r"nothing can be judged|a graph can't be judged"):
            retrain_graph(replace(data, tokens=tokens), ArtifactStore(tmp_path / "artifacts"), tmp_path / "run", NOW)


def test_what_is_hidden_is_no_edge_and_a_like_adds_to_a_watch() -> None:
    actions = np.array([Action.CLICK, Action.LIKE, Action.CLICK | Action.LONG_VIEW, Action.HIDE, 0], dtype=np.uint8)
    owner, rows, amounts = edges(np.array([0, 0, 0, 0, 1]), np.array([7, 7, 8, 8, 7]), actions)
    assert (owner.tolist(), rows.tolist()) == ([0, 1], [7, 7])
    assert amounts[0] > 1 > amounts[1] > 0


def test_it_is_as_old_as_its_publication_and_not_as_the_beginning_of_its_training(tmp_path: Path) -> None:
    artifacts, clock = ArtifactStore(tmp_path / "artifacts"), ManualClock(NOW)
    retrain_graph(circles(), artifacts, tmp_path / "run", clock, GateConfig(min_users=2), on_progress=lambda _: clock.advance_to(NOW + 420))
    assert artifacts.current(GRAPH).manifest.made_at == NOW + 420

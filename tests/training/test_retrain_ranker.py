"""From examples to a live ranker, through the gates."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from reelrank.domain.clock import ManualClock
from reelrank.models.sessions import RankerSession
from reelrank.storage.artifacts import ArtifactStore
from reelrank.training.judge_ranker import RankerJudge, parity
from reelrank.training.log_examples import reserved
from reelrank.training.publish import FEATURES, PARITY, GateConfig
from reelrank.training.ranker_weights import load_trained
from reelrank.training.retrain_ranker import RANKER, retrain_ranker
from training.small_ranker import NOW, SETTINGS, world

GATE = GateConfig(min_users=5)


def test_a_ranker_is_trained_judged_and_published_and_a_worse_one_refused(tmp_path: Path) -> None:
    data, artifacts = world(3_000), ArtifactStore(tmp_path / "artifacts")
    steps: list[int] = []
    first = retrain_ranker(data, artifacts, tmp_path / "one", ManualClock(NOW), SETTINGS, GATE, {"offsets": "1,2"}, on_progress=steps.append)
    assert first.published, first
    assert first.metrics["auc_long_view"] > 0.7
    assert len(steps) > 50
    about = artifacts.current(RANKER).manifest.about
    assert about["offsets"] == "1,2"
    assert about[PARITY] < 1e-4
    assert about["examples"] + reserved(data).sum() == 3_000
    assert about["auc_long_view"] == first.metrics["auc_long_view"]
    assert FEATURES in about
    folder = artifacts.current(RANKER).folder
    assert RankerSession(folder).heads == load_trained(folder)[0].heads == ("click", "long_view", "like")

    shuffled = replace(data, examples=replace(data.examples, labels=np.random.default_rng(0).permutation(data.examples.labels)))
    lost = np.flatnonzero(reserved(data))
    shuffled.examples.labels[lost] = data.examples.labels[lost]
    second = retrain_ranker(shuffled, artifacts, tmp_path / "two", ManualClock(NOW + 1), SETTINGS, GATE)
    assert not second.published
    assert all("worse by more than the noise" in reason for reason in second.reasons), second
    assert any(reason.startswith("likelihood is -0.") for reason in second.reasons), second
    assert artifacts.current(RANKER).manifest.version == first.version


def test_what_can_not_be_loaded_is_unfit(tmp_path: Path) -> None:
    data, artifacts = world(800), ArtifactStore(tmp_path / "artifacts")
    retrain_ranker(data, artifacts, tmp_path / "one", ManualClock(NOW), SETTINGS, GATE)
    folder = artifacts.current(RANKER).folder
    assert parity(folder, data) < 1e-4
    (folder / "candidates.onnx").write_bytes(b"no graph")
    again = retrain_ranker(data, artifacts, tmp_path / "two", ManualClock(NOW + 1), SETTINGS, GATE)
    assert again.published  # whatever can't be judged gives way
    assert RankerJudge(data)(artifacts.current(RANKER).folder).measures.keys() >= {"auc_click", "likelihood", "watch_nearness_s"}

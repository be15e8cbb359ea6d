"""Boosted trees on a log whose answer is known: everybody watches the videos of their own circle."""

from pathlib import Path

import numpy as np
import pytest

from reelrank.evaluation.prediction import auc
from reelrank.features.definitions import WIDTH
from reelrank.simulation.kuairand import KuaiRand
from reelrank.studies import peer_lightgbm
from reelrank.studies.peer_lightgbm import lightgbm, lightgbm_stream
from studies.made_log import DAYS, training_set


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(peer_lightgbm, "ROUNDS", 30)
    monkeypatch.setattr(peer_lightgbm, "SEARCHED", ({"num_leaves": 7, "min_child_samples": 5},))


def test_every_head_and_the_watch_time_are_predicted_for_the_test_rows(log_folder: Path):
    exposures = KuaiRand(log_folder).exposures()
    test = exposures.days == DAYS[-1]
    found = lightgbm(training_set(exposures), log_folder, ~test, test)
    assert set(found) == {"click", "long_view", "like", "watch_s"}
    assert all(values.shape == (test.sum(),) and np.isfinite(values).all() for values in found.values())
    assert auc(exposures.long_view[test], found["long_view"]) > 0.7
    assert found["watch_s"][exposures.long_view[test]].mean() > found["watch_s"][~exposures.long_view[test]].mean()


def test_the_same_seed_gives_the_same_trees(log_folder: Path):
    exposures = KuaiRand(log_folder).exposures()
    test = exposures.days == DAYS[-1]
    first, again = (lightgbm(training_set(exposures), log_folder, ~test, test, seed=3) for _ in range(2))
    assert all(np.array_equal(first[head], again[head]) for head in first)


def test_trees_on_the_feature_stream_read_its_columns(log_folder: Path):
    exposures = KuaiRand(log_folder).exposures()
    test = exposures.days == DAYS[-1]
    features = np.zeros((len(exposures), WIDTH), dtype=np.float32)
    features[:, 3] = exposures.long_view
    found = lightgbm_stream(training_set(exposures, features), log_folder, ~test, test)
    assert auc(exposures.long_view[test], found["long_view"]) == 1.0

"""Tests of the graph benchmark on circles of friends: every model beats popularity, and shuffled pairs nobody."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from reelrank.studies.graph import MODELS, evaluate

USERS, CIRCLES, EACH = 150, 5, 20


def write_circles(folder: Path, shuffled: bool = False, validation: bool = True) -> Path:
    """Pairs within circles, split into the files of a data set."""
    rng = np.random.default_rng(0)
    same = np.equal.outer(np.arange(USERS) % CIRCLES, np.repeat(np.arange(CIRCLES), EACH))
    users, videos = np.nonzero(rng.random(same.shape) < np.where(same, 0.4, 0.01))
    videos = rng.permutation(videos) if shuffled else videos
    parts = rng.choice(3, size=len(users), p=[0.7, 0.1, 0.2])
    for part, name in enumerate(("train", "validation", "test")):
        if name != "validation" or validation:
            pl.DataFrame({"user": users[parts == part], "video": videos[parts == part]}).write_parquet(folder / f"{name}.parquet")
    return folder


def test_all_models_find_the_circles_and_ours_is_compared_with_each(tmp_path: Path) -> None:
    told = evaluate(write_circles(tmp_path), seeds=2)
    recalls = {name: told["models"][name]["recall_at_20"]["mean"] for name in MODELS}
    assert min(recalls[name] for name in MODELS if name != "popular") > 0.8
    assert recalls["popular"] < 0.4
    ahead = told["ahead_of"]["popular"]["ndcg_at_20"]
    assert 0 < ahead["lo"] < ahead["mean"] < ahead["hi"]
    assert set(told["models"]["reelrank"]["ndcg_at_20"]) == {"mean", "sd"}


def test_shuffled_pairs_teach_nothing(tmp_path: Path) -> None:
    told = evaluate(write_circles(tmp_path, shuffled=True), models=["reelrank"])
    assert told["models"]["reelrank"]["recall_at_20"]["mean"] < 0.35
    assert told["fitted_on"] == "train and validation"


def test_without_a_validation_file_pairs_are_held_out_for_the_choice(tmp_path: Path) -> None:
    told = evaluate(write_circles(tmp_path, validation=False), models=["reelrank"])
    assert told["models"]["reelrank"]["recall_at_20"]["mean"] > 0.8
    assert told["pairs"]["validation"] is None
    assert told["ahead_of"] == {}
    assert told["fitted_on"] == "train"


def test_a_model_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no model 'gru'; known: reelrank"):
        evaluate(tmp_path, models=["gru"])

"""Tests of the graph benchmark on circles of friends: every model beats popularity, and shuffled pairs nobody."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from circles import of_circles, watched_by
from reelrank.simulation.kuairand import DataError
from reelrank.studies.graph import MODELS, evaluate
from studies.pair_files import write_split


def write_circles(folder: Path, shuffled: bool = False) -> Path:
    """Pairs of 150 users, split into the files of a data set."""
    rng = np.random.default_rng(0)
    users, videos = np.nonzero(watched_by(150, of_circles(5, 20), rng))
    write_split(folder, (users, rng.permutation(videos) if shuffled else videos), rng)
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
    write_circles(tmp_path)
    (tmp_path / "validation.parquet").unlink()
    told = evaluate(tmp_path, models=["reelrank"])
    assert told["models"]["reelrank"]["recall_at_20"]["mean"] > 0.8
    assert told["pairs"]["validation"] is None
    assert told["ahead_of"] == {}
    assert told["fitted_on"] == "train"


def written(folder: Path, **parts: tuple[np.ndarray, np.ndarray]) -> Path:
    """A data set of these pairs (users, videos)."""
    for name, (users, videos) in parts.items():
        pl.DataFrame({"user": users, "video": videos}).write_parquet(folder / f"{name}.parquet")
    return folder


def test_what_is_known_is_never_a_hit_even_where_nothing_else_is_left(tmp_path: Path) -> None:
    everything = np.divmod(np.arange(100), 10)
    told = evaluate(written(tmp_path, train=everything, validation=everything, test=everything), models=["popular", "item_knn", "reelrank"])
    assert {of["recall_at_20"]["mean"] for of in told["models"].values()} == {0.0}


def test_who_was_never_seen_is_offered_the_first_videos_and_finds_no_others(tmp_path: Path) -> None:
    users, videos = np.nonzero(watched_by(40, of_circles(2, 20), np.random.default_rng(0)))
    first = np.arange(20)  # all of item_knn's scores are equal, so the first columns are listed
    written(tmp_path, train=(users, videos), validation=(users, (videos + 20) % 40))
    asked = (first, first + 20, np.arange(1_000, 1_040))
    found = [evaluate(written(tmp_path, test=(np.full(len(wanted), 1_000), wanted)), models=["item_knn"]) for wanted in asked]
    assert [told["models"]["item_knn"]["recall_at_20"]["mean"] for told in found] == [1.0, 0.0, 0.0]


def test_a_pair_of_each_leaves_nothing_to_choose_by(tmp_path: Path) -> None:
    everybody = np.arange(30)
    with pytest.raises(DataError, match=r"of the 30 training pairs .* none could be held out.*give a validation\.parquet"):
        evaluate(written(tmp_path, train=(everybody, everybody), test=(everybody, (everybody + 1) % 30)), models=["item_knn"])


def test_a_single_user_is_measured_and_makes_no_difference(tmp_path: Path) -> None:
    alone = np.zeros(10, dtype=np.int64)
    folder = written(tmp_path, train=(alone, np.arange(10)), validation=(alone, np.arange(10, 20)), test=(alone, np.arange(20, 30)))
    assert evaluate(folder, models=["popular", "reelrank"])["ahead_of"] == {}


def test_a_model_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no model 'gru'; known: reelrank"):
        evaluate(tmp_path, models=["gru"])

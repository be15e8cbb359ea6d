"""Tests of the cold-start study: informative content finds hidden videos, beyond what looks alike; noise does not."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from reelrank.studies.cold import evaluate
from reelrank.studies.pairs import DataError

USERS, VIDEOS, CIRCLES = 600, 1_200, 8


def write_world(folder: Path, shuffled: bool = False) -> Path:
    """Circles whose content shows in some of the columns only: the others are louder and say nothing."""
    rng = np.random.default_rng(0)
    circle = rng.integers(CIRCLES, size=VIDEOS)
    same = np.equal.outer(np.arange(USERS) % CIRCLES, circle)
    users, videos = np.nonzero(rng.random(same.shape) < np.where(same, 0.12, 0.001))
    parts = rng.choice(3, size=len(users), p=[0.7, 0.1, 0.2])
    for part, name in enumerate(("train", "validation", "test")):
        pl.DataFrame({"user": users[parts == part], "video": videos[parts == part]}).write_parquet(folder / f"{name}.parquet")
    content = np.hstack([np.eye(CIRCLES)[circle], rng.standard_normal((VIDEOS, 32))]).astype(np.float32)
    np.save(folder / "image_features.npy", rng.permutation(content) if shuffled else content)
    return folder


def test_hidden_videos_are_found_by_what_their_content_means(tmp_path: Path) -> None:
    told = evaluate(tiktok=write_world(tmp_path), kuairand=None, seeds=[0])
    (name,) = told
    assert name == "tiktok"
    ours, alike, chance = (told[name][model] for model in ("reelrank", "content_knn", "random"))
    assert ours["lo"] > alike["hi"] > chance["hi"]
    assert told[name]["hidden_share"] == 0.1


def test_content_without_meaning_finds_nothing(tmp_path: Path) -> None:
    told = evaluate(tiktok=write_world(tmp_path, shuffled=True), kuairand=None, seeds=[0])["tiktok"]
    assert abs(told["reelrank"]["mean"] - 50 / 120) < 0.12  # a hundred and eighty users


def test_a_folder_without_content_is_refused(tmp_path: Path) -> None:
    write_world(tmp_path)
    (tmp_path / "image_features.npy").unlink()
    with pytest.raises(DataError, match="content as"):
        evaluate(tiktok=tmp_path, kuairand=None)

"""Tests of data sets of pairs."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from reelrank.simulation.kuairand import DataError
from reelrank.studies.pairs import held_out, load


def write(folder: Path, name: str, pairs: list[tuple[int, int]], video: str = "video") -> None:
    pl.DataFrame({"user": [user for user, _ in pairs], video: [item for _, item in pairs]}, schema={"user": pl.Int32, video: pl.Int32}).write_parquet(
        folder / f"{name}.parquet"
    )


def test_a_folder_is_read_with_items_or_videos_and_with_or_without_validation(tmp_path: Path) -> None:
    write(tmp_path, "train", [(0, 0), (0, 2), (1, 1), (1, 1)], video="item")
    write(tmp_path, "test", [(1, 3)], video="item")
    data = load(tmp_path)
    assert data.train.toarray().tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]
    assert data.validation is None
    assert data.known is data.train
    write(tmp_path, "validation", [(0, 3)])
    np.save(tmp_path / "image_features.npy", np.ones((4, 3), dtype=np.float16))
    data = load(tmp_path)
    assert data.known.toarray().tolist() == [[1, 0, 1, 1], [0, 1, 0, 0]]
    assert data.content["image"].shape == (4, 3)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file .*train\.parquet"):
        load(tmp_path)
    write(tmp_path, "train", [(0, 0)], video="film")
    with pytest.raises(DataError, match="needs the columns user and video"):
        load(tmp_path)
    write(tmp_path, "train", [(0, 5)])
    write(tmp_path, "test", [(0, 1)])
    np.save(tmp_path / "sound_features.npy", np.ones((2, 3)))
    with pytest.raises(DataError, match="describes 2 videos, the other files know 6"):
        load(tmp_path)


def test_a_share_of_each_users_pairs_is_held_out_and_nobody_loses_the_last() -> None:
    rng = np.random.default_rng(0)
    pairs = csr_array((rng.random((200, 50)) < np.linspace(0.02, 0.9, 200)[:, None]).astype(np.float32))
    left, out = held_out(pairs, 0.1, np.random.default_rng(1))
    assert ((left + out) != pairs).nnz == 0
    assert abs(out.nnz / pairs.nnz - 0.1) < 0.01
    counts = np.diff(pairs.indptr)
    assert (np.diff(left.indptr)[counts > 0] > 0).all()

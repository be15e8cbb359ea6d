"""Tests of data sets of pairs."""

import pickle
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


def test_users_and_videos_may_have_any_numbers(tmp_path: Path) -> None:
    pl.DataFrame({"user": [10**12, 3, 3], "video": [7.0, 10.0**10, 7.0]}).write_parquet(tmp_path / "train.parquet")
    write(tmp_path, "test", [(3, 9)])
    data = load(tmp_path)
    assert data.train.toarray().tolist() == [[1, 0, 1], [1, 0, 0]]
    assert data.test.toarray().tolist() == [[0, 1, 0], [0, 0, 0]]


def test_where_videos_have_content_their_numbers_are_its_rows(tmp_path: Path) -> None:
    write(tmp_path, "train", [(5, 2)])
    write(tmp_path, "test", [(9, 0)])
    np.save(tmp_path / "image_features.npy", np.ones((4, 3)))
    assert load(tmp_path).train.toarray().tolist() == [[0, 0, 1, 0], [0, 0, 0, 0]]
    write(tmp_path, "train", [(5, 10**9)])
    with pytest.raises(DataError, match="describes 4 videos, the other files know 1000000001"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("users", "why"),
    [
        (["u1", "u2"], r"the column user holds String, like 'u1'; .* so number them"),
        ([0.5, 1.0], r"user is 0\.5 in row 0; .* whole numbers from 0"),
        ([1.0, float("nan")], r"user is nan in row 1"),
        ([1, None], r"user is None in row 1"),
        ([0, -3], r"user is -3 in row 1"),
        ([2.0, 1e300], r"user is 1e\+?300 in row 1"),
        ([True, False], r"the column user holds Boolean"),
    ],
)
def test_what_numbers_nobody_is_named_with_its_row(users: list[object], why: str, tmp_path: Path) -> None:
    pl.DataFrame({"user": users, "video": [0, 1]}).write_parquet(tmp_path / "train.parquet")
    write(tmp_path, "test", [(0, 1)])
    with pytest.raises(DataError, match=rf"train\.parquet: {why}"):
        load(tmp_path)


@pytest.mark.parametrize(("part", "way_out"), [("train", "give it some$"), ("test", "give it some$"), ("validation", "or delete it")])
def test_a_file_without_pairs_is_refused(part: str, way_out: str, tmp_path: Path) -> None:
    for name in ("train", "test", "validation"):
        write(tmp_path, name, [] if name == part else [(0, 0), (1, 1)])
    with pytest.raises(DataError, match=rf"{part}\.parquet has no pairs; .*{way_out}"):
        load(tmp_path)


def test_a_file_that_is_no_parquet_or_cut_off_is_named(tmp_path: Path) -> None:
    write(tmp_path, "test", [(0, 1)])
    whole = (tmp_path / "test.parquet").read_bytes()
    for content in (b"user,video\n1,2\n", whole[: len(whole) // 2], b""):
        (tmp_path / "train.parquet").write_bytes(content)
        with pytest.raises(DataError, match=r"train\.parquet can't be read as Parquet: .*; copy or write it again"):
            load(tmp_path)


class Intruder:
    """Leaves a file where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def test_content_is_never_unpickled(tmp_path: Path) -> None:
    write(tmp_path, "train", [(0, 0)])
    write(tmp_path, "test", [(0, 1)])
    trace, file = tmp_path / "trace", tmp_path / "image_features.npy"
    np.save(file, np.array([Intruder(trace)], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"image_features\.npy .*pickles are never loaded"):
        load(tmp_path)
    file.write_bytes(pickle.dumps(Intruder(trace)))
    with pytest.raises(DataError, match=r"image_features\.npy .*pickles are never loaded"):
        load(tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("vectors", "why"),
    [
        (np.ones(2), r"holds float64 of shape \(2,\); it takes numbers \(videos, d\)"),
        (np.array([["a"], ["b"]]), r"holds <U1 of shape \(2, 1\)"),
        (np.array([[1.0], [np.nan]]), "not finite in row 1"),
        (np.array([[np.inf], [1.0]]), "not finite in row 0"),
    ],
)
def test_content_that_is_no_table_of_finite_numbers_is_refused(vectors: np.ndarray, why: str, tmp_path: Path) -> None:
    write(tmp_path, "train", [(0, 0)])
    write(tmp_path, "test", [(0, 1)])
    np.save(tmp_path / "image_features.npy", vectors)
    with pytest.raises(DataError, match=rf"image_features\.npy .*{why}"):
        load(tmp_path)


def test_a_share_of_each_users_pairs_is_held_out_and_nobody_loses_the_last() -> None:
    rng = np.random.default_rng(0)
    pairs = csr_array((rng.random((200, 50)) < np.linspace(0.02, 0.9, 200)[:, None]).astype(np.float32))
    left, out = held_out(pairs, 0.1, np.random.default_rng(1))
    assert ((left + out) != pairs).nnz == 0
    assert abs(out.nnz / pairs.nnz - 0.1) < 0.01
    counts = np.diff(pairs.indptr)
    assert (np.diff(left.indptr)[counts > 0] > 0).all()

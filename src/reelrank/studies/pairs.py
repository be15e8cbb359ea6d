"""Data sets of (user, video) pairs: train, validation and test files, and what is known of the videos' content."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from reelrank.domain.arrays import Rows
from reelrank.models.edges import owners, size
from reelrank.simulation.kuairand import DataError, read_table

_FEATURES = "_features.npy"


@dataclass(frozen=True, slots=True)
class PairSet:
    """Who watched what; all matrices are (users, videos) with a 1 for each pair."""

    name: str
    train: csr_array
    validation: csr_array | None
    test: csr_array
    content: dict[str, NDArray[np.float32]]  # by kind, (videos, d)

    @property
    def known(self) -> csr_array:
        """What is not recommended again on the test: the pairs of training and of validation."""
        return self.train if self.validation is None else csr_array(self.train + self.validation)


def load(folder: Path) -> PairSet:
    """Reads train.parquet, test.parquet, validation.parquet if there is one, and every `*_features.npy`.

    Users are numbered densely, in their order, and so are videos, unless content has a row for each: then their numbers are its rows.
    Raises DataError if a file or a column is missing, broken or empty, or content has another number of videos.
    """
    parts = ["train", "test", *(["validation"] if (folder / "validation.parquet").is_file() else [])]
    tables = {part: _pairs(folder / f"{part}.parquet") for part in parts}
    content = {path.name.removesuffix(_FEATURES): _vectors(path) for path in sorted(folder.glob(f"*{_FEATURES}"))}
    users, owner = np.unique(np.concatenate([table[:, 0] for table in tables.values()]), return_inverse=True)
    column = np.concatenate([table[:, 1] for table in tables.values()])
    if content:
        videos = max(int(column.max()) + 1, *(len(vectors) for vectors in content.values()))
        for kind, vectors in content.items():
            if len(vectors) != videos:
                raise DataError(f"{folder / (kind + _FEATURES)} describes {len(vectors)} videos, the other files know {videos}")
    else:
        known, column = np.unique(column, return_inverse=True)
        videos = len(known)
    matrices: dict[str, csr_array] = {}
    begin = 0
    for part, table in tables.items():
        some = slice(begin, begin := begin + len(table))
        matrices[part] = matrix(owner[some], column[some], (len(users), videos))
    return PairSet(folder.resolve().name, matrices["train"], matrices.get("validation"), matrices["test"], content)


def matrix(users: Rows, videos: Rows, shape: tuple[int, int]) -> csr_array:
    """A 1 for each pair, however often it comes."""
    pairs = csr_array((np.ones(len(users), dtype=np.float32), (users, videos)), shape=shape)
    pairs.data[:] = 1
    return pairs


def held_out(pairs: csr_array, share: float, rng: np.random.Generator) -> tuple[csr_array, csr_array]:
    """What is left, and `share` of each user's pairs, rounded by chance; nobody loses the last pair."""
    users, videos = owners(pairs), pairs.indices.astype(np.int64)
    order = np.lexsort((rng.random(len(users)), users))
    rank = np.empty(len(users), dtype=np.int64)
    rank[order] = np.arange(len(users)) - pairs.indptr[users]
    counts = np.diff(pairs.indptr)
    taken = np.minimum(np.floor(counts * share + rng.random(len(counts))).astype(np.int64), np.maximum(counts - 1, 0))
    out = rank < taken[users]
    return matrix(users[~out], videos[~out], size(pairs)), matrix(users[out], videos[out], size(pairs))


def _pairs(path: Path) -> Rows:
    """(n, 2) of a file with `user` and `video` or `item`."""
    if not path.is_file():
        raise DataError(f"no file {path}: give the folder that holds train.parquet and test.parquet")
    table = read_table(path)
    video = next((name for name in ("video", "item") if name in table.columns), None)
    if video is None or "user" not in table.columns:
        raise DataError(f"{path} needs the columns user and video (or item); it has: {', '.join(table.columns)}")
    if table.is_empty():
        raise DataError(f"{path} has no pairs; give it some" + (", or delete it: then training pairs are held out" if path.stem == "validation" else ""))
    return np.stack([_numbers(path, table[name]) for name in ("user", video)], axis=1)


def _numbers(path: Path, column: pl.Series) -> Rows:
    """What a column numbers, (n,)."""
    if not column.dtype.is_numeric():
        raise DataError(f"{path}: the column {column.name} holds {column.dtype}, like {column[0]!r}; users and videos are whole numbers from 0, so number them")
    numbers = column.cast(pl.Int64, strict=False)
    if len(wrong := ((numbers < 0) | (numbers != column)).fill_null(True).arg_true()):
        raise DataError(f"{path}: {column.name} is {column[wrong[0]]} in row {wrong[0]}; users and videos are whole numbers from 0")
    return numbers.to_numpy()


def _vectors(path: Path) -> NDArray[np.float32]:
    """(videos, d) of a file of finite numbers."""
    try:
        vectors = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as problem:
        raise DataError(f"{path} is cut off, or no plain NumPy array; pickles are never loaded, so write numbers by numpy.save") from problem
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.number) or np.iscomplexobj(vectors):
        found = f"{vectors.dtype} of shape {vectors.shape}" if isinstance(vectors, np.ndarray) else "an archive of several"
        raise DataError(f"{path} holds {found}; it takes numbers (videos, d), a row for each video")
    vectors = vectors.astype(np.float32)
    if len(wrong := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
        raise DataError(f"{path} has a number that is not finite in row {wrong[0]}; a video without content has zeros")
    return vectors

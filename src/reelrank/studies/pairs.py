"""Data sets of (user, video) pairs: train, validation and test files, and what is known of the videos' content."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from reelrank.domain.arrays import Rows
from reelrank.models.edges import owners, size
from reelrank.simulation.kuairand import DataError

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

    Raises DataError if a file or a column is missing, or content has another number of videos.
    """
    tables = {part: _pairs(folder / f"{part}.parquet") for part in ("train", "test")}
    if (folder / "validation.parquet").is_file():
        tables["validation"] = _pairs(folder / "validation.parquet")
    content = {path.name.removesuffix(_FEATURES): np.load(path).astype(np.float32) for path in sorted(folder.glob(f"*{_FEATURES}"))}
    users, videos = (max(int(table[:, column].max(initial=-1)) for table in tables.values()) + 1 for column in (0, 1))
    videos = max([videos, *(len(vectors) for vectors in content.values())])
    for kind, vectors in content.items():
        if len(vectors) != videos:
            raise DataError(f"{folder / (kind + _FEATURES)} describes {len(vectors)} videos, the other files know {videos}")
    matrices = {part: matrix(table[:, 0], table[:, 1], (users, videos)) for part, table in tables.items()}
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
    table = pl.read_parquet(path)
    video = next((name for name in ("video", "item") if name in table.columns), None)
    if video is None or "user" not in table.columns:
        raise DataError(f"{path} needs the columns user and video (or item); it has: {', '.join(table.columns)}")
    pairs = table.select(pl.col("user", video).cast(pl.Int64)).to_numpy()
    if pairs.min(initial=0) < 0:
        raise DataError(f"{path} has the number {pairs.min()}; users and videos are numbered from 0")
    return pairs

"""Sequences of items, cut for leave-one-out: the last item of each user is the test, the one before it the validation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Floats, Rows
from reelrank.evaluation import retrieval
from reelrank.features.spans import covered
from reelrank.models.two_tower import VideoFeatures

Scorer = Callable[["Split", slice], Floats]  # (users, items): what a model gives every item after the histories of some users

K = 10
SHORTEST = 3  # one item to learn from, one to choose by, one to test
_BLOCK = 1_024  # users ranked at a time


class SequencesError(ValueError):
    """A file of sequences that can't be studied; the message says why."""


@dataclass(frozen=True, slots=True)
class Split:
    """What is known of each of U users, and the item that comes next."""

    rows: Rows  # all items of all users, oldest first
    start: Rows  # (U,)
    end: Rows  # (U,) what is known of user u is rows[start[u] : end[u]]
    target: Rows  # (U,)

    def held(self, some: slice) -> tuple[Rows, Rows]:
        """The h items that the histories of some users hold, oldest first: (h,) places among these users, (h,) items."""
        places, sizes = covered(self.start[some], self.end[some])
        return np.repeat(np.arange(len(sizes)), sizes), self.rows[places]

    def blocks(self) -> Iterator[slice]:
        """All users, some at a time."""
        for first in range(0, len(self.target), _BLOCK):
            yield slice(first, min(first + _BLOCK, len(self.target)))


@dataclass(frozen=True, slots=True)
class Dataset:
    """The sequences of one file. Items are numbered 0 … m-1 in the order of their names, which says nothing."""

    name: str
    items: NDArray[np.str_]  # (m,)
    rows: Rows  # (n,)
    start: Rows  # (U + 1,)
    features: VideoFeatures

    @property
    def users(self) -> int:
        """How many."""
        return len(self.start) - 1

    def split(self, held_out: int) -> Split:
        """The item before the last `held_out` - 1 as target, and what comes before it as history: 1 is the test, 2 the validation."""
        end = self.start[1:] - held_out
        return Split(self.rows, self.start[:-1], end, self.rows[end])

    @property
    def training(self) -> tuple[Rows, Rows]:
        """What models learn from, without the last two items of each user: (rows, indptr)."""
        places, sizes = covered(self.start[:-1], self.start[1:] - 2)
        return self.rows[places], np.concatenate([[0], np.cumsum(sizes)])


def read(path: Path) -> Dataset:
    """Reads a file of the S3-Rec form, or `sequences.txt` in a folder; `item_attributes.json` beside it is taken if there.

    Users with fewer than three items are left out. Raises SequencesError if there is none left.
    """
    file = path / "sequences.txt" if path.is_dir() else path
    if not file.is_file():
        raise SequencesError(f"no sequences in {path}: it takes a file with a line `user item item …` for each user, or a folder with it as sequences.txt")
    lines = [line.split()[1:] for line in file.read_text(encoding="utf-8").splitlines()]
    kept = [line for line in lines if len(line) >= SHORTEST]
    if not kept:
        raise SequencesError(f"none of the {len(lines)} lines of {file} has {SHORTEST} items; each is `user item item …`, oldest first")
    items, rows = np.unique(np.concatenate([np.array(line) for line in kept]), return_inverse=True)
    start = np.concatenate([[0], np.cumsum([len(line) for line in kept])])
    return Dataset(file.parent.name if file.name == "sequences.txt" else file.stem, items, rows, start, _features(file.parent / "item_attributes.json", items))


def places(scorer: Scorer, split: Split) -> NDArray[np.float64]:
    """The place of each user's target among all items that the user's history does not hold: (U,)."""
    found = []
    for some in split.blocks():
        scores = scorer(split, some)
        scores[split.held(some)] = -np.inf
        found.append(retrieval.places(scores, split.target[some]))
    return np.concatenate(found)


def ndcg(scorer: Scorer, split: Split) -> float:
    """The mean NDCG@10, by which everything is chosen."""
    return float(retrieval.ndcg_of_places(places(scorer, split), K).mean())


def _features(file: Path, items: NDArray[np.str_]) -> VideoFeatures:
    """The attributes {item: [numbers]} as tags, if there are any."""
    features = VideoFeatures.unknown(len(items))
    if not file.is_file():
        return features
    given = msgspec.json.decode(file.read_bytes(), type=dict[str, list[int]])
    tags = np.full((len(items), max((len(numbers) for numbers in given.values()), default=0)), -1)
    for row, item in enumerate(items):
        numbers = given.get(str(item), [])
        tags[row, : len(numbers)] = numbers
    return VideoFeatures(features.author, features.sound, tags, features.content)

"""Sequences of items, cut for leave-one-out: the last item of each user is the test, the one before it the validation."""

from collections.abc import Callable, Iterator, Sequence
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
    items: NDArray[np.object_]  # (m,) names, as str: an array of texts would drop a zero at their end
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

    Users with fewer than three items are left out. Raises SequencesError if there is none left, or a file is not of that form.
    """
    file = path / "sequences.txt" if path.is_dir() else path
    if not file.is_file():
        raise SequencesError(f"no sequences in {path}: it takes a file with a line `user item item …` for each user, or a folder with it as sequences.txt")
    lines = [[item.decode() for item in line.split()[1:]] for line in _lines(file)]
    kept = [line for line in lines if len(line) >= SHORTEST]
    if not kept:
        raise SequencesError(f"none of the {len(lines)} lines of {file} has {SHORTEST} items; each is `user item item …`, oldest first")
    items = sorted({item for line in kept for item in line})
    numbers = {item: number for number, item in enumerate(items)}
    rows = np.array([numbers[item] for line in kept for item in line], dtype=np.int64)
    start = np.concatenate([[0], np.cumsum([len(line) for line in kept])])
    name, features = file.parent.name if file.name == "sequences.txt" else file.stem, _features(file.parent / "item_attributes.json", items)
    return Dataset(name, np.array(items, dtype=np.object_), rows, start, features)


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


def _lines(file: Path) -> list[bytes]:
    """The lines of a file of text, as bytes: of these only what ASCII calls white parts anything, and a name may hold any other space."""
    content = file.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise SequencesError(f"line {line} of {file} has the byte {content[problem.start]:#04x}, which is not UTF-8; convert the file to UTF-8") from problem
    return content.splitlines()


def _features(file: Path, items: Sequence[str]) -> VideoFeatures:
    """The attributes {item: [numbers]} as tags, if there are any; they are numbered anew from 1, so that tables are as long as there are tags."""
    features = VideoFeatures.unknown(len(items))
    if not file.is_file():
        return features
    try:
        given = msgspec.json.decode(file.read_bytes(), type=dict[str, list[int]])
    except msgspec.DecodeError as problem:
        raise SequencesError(f"{file} is not {{item: [numbers of its attributes]}}: {problem}; mend it, or take it away to go without") from problem
    tagged = [given.get(item, []) for item in items]
    numbers = {tag: number for number, tag in enumerate(sorted({tag for tags in tagged for tag in tags}), start=1)}
    tags = np.full((len(items), max(len(tags) for tags in tagged)), -1)
    for row, own in enumerate(tagged):
        tags[row, : len(own)] = [numbers[tag] for tag in own]
    return VideoFeatures(features.author, features.sound, tags, features.content)

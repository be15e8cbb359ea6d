"""Examples as arrays: what was shown to whom with which features, what came of it, and what each user had done until then."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from reelrank.domain.arrays import Column, Floats, Rows
from reelrank.domain.candidate import HEADS
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import FEATURES_VERSION, WIDTH
from reelrank.features.tokens import Tokens


class ExamplesError(ValueError):
    """Examples that can't be learned from; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Examples:
    """n impressions, in order of `served_at`."""

    user: Rows  # (n,) a place in TrainingSet.tokens
    video: Rows  # (n,) a video row
    served_at: Column  # (n,) UTC seconds: the moment whose features these are
    known_at: Column  # (n,) when the watch was over
    surface: Rows  # (n,) 0 unknown
    position: Rows  # (n,) in the slate
    features: Floats  # (n, WIDTH) by features.definitions
    labels: Floats  # (n, HEADS) 0 or 1, nan where nobody knows
    watched_s: Floats  # (n,) nan where nobody knows

    def __len__(self) -> int:
        return len(self.user)

    def label(self, head: str) -> Floats:
        """What came of it: (n,)."""
        return self.labels[:, HEADS.index(head)]

    def take(self, which: Rows | NDArray[np.bool_]) -> "Examples":
        """Some of them."""
        return Examples(*(getattr(self, field.name)[which] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of each video before anybody has watched it, by dense row."""

    author: Rows  # (V,)
    sound: Rows  # (V,) -1 none
    tags: Rows  # (V, T) -1 none
    duration_s: Column  # (V,)
    uploaded_at: Column  # (V,) UTC seconds
    content: Floats  # (V, C) what its picture, sound and caption say; C may be 0

    def __len__(self) -> int:
        return len(self.author)

    @classmethod
    def of(cls, columns: VideoColumns) -> "Traits":
        """What the catalogue says."""
        count = columns.count
        return cls(
            author=columns.author_row[:count],
            sound=columns.sound_row[:count],
            tags=columns.tag_rows[:count],
            duration_s=columns.duration_s[:count],
            uploaded_at=columns.uploaded_at[:count],
            content=np.empty((count, 0), dtype=np.float32),
        )


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Everything that the trainers read."""

    examples: Examples
    tokens: Tokens  # the users' whole histories: `history_ends` says what of them was known when
    traits: Traits
    user_ids: NDArray[np.str_]  # (U,)

    @property
    def history_ends(self) -> Rows:
        """Where in `tokens` the history of each example ends, as of its `served_at`: (n,)."""
        return self.tokens.ends(self.examples.user, self.examples.served_at)

    def between(self, since: float, until: float) -> "TrainingSet":
        """The examples served in [since, until) UTC seconds; histories stay whole."""
        at = self.examples.served_at
        return replace(self, examples=self.examples.take((at >= since) & (at < until)))

    def save(self, folder: Path) -> None:
        """Writes one .npy file for each array."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self._arrays():
            np.save(folder / f"{name}.npy", array)
        (folder / "set.json").write_bytes(msgspec.json.encode({"features_version": FEATURES_VERSION}))  # last: it seals the folder

    @classmethod
    def load(cls, folder: Path) -> "TrainingSet":
        """Reads what `save` wrote, as memory-mapped arrays. Raises ExamplesError if its features are not this release's."""
        version = msgspec.json.decode((folder / "set.json").read_bytes())["features_version"]
        if version != FEATURES_VERSION:
            raise ExamplesError(f"the examples in {folder} have features of version {version}, this release has {FEATURES_VERSION}: make them again")

        def read(kind: type, prefix: str) -> Any:
            names = kind._fields if kind is Tokens else [field.name for field in fields(kind)]
            return kind(*(np.load(folder / f"{prefix}-{name}.npy", mmap_mode="r") for name in names))

        return cls(read(Examples, "examples"), read(Tokens, "tokens"), read(Traits, "traits"), np.load(folder / "user_ids.npy"))

    def _arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        for field in fields(self.examples):
            yield f"examples-{field.name}", getattr(self.examples, field.name)
        for field in fields(self.traits):
            yield f"traits-{field.name}", getattr(self.traits, field.name)
        for name, array in self.tokens._asdict().items():
            yield f"tokens-{name}", array
        yield "user_ids", self.user_ids


def labels_of(count: int, **known: ArrayLike) -> Floats:
    """Labels of `count` examples, (count, HEADS): what is `known` (count,) of a head, by its name, and nan for the others."""
    labels = np.full((count, len(HEADS)), np.nan, dtype=np.float32)
    for head, happened in known.items():
        labels[:, HEADS.index(head)] = happened
    return labels


def check(features: Floats) -> None:
    """Raises ExamplesError for features that are not those of this release."""
    if features.ndim != 2 or features.shape[1] != WIDTH:
        raise ExamplesError(f"features have the shape {features.shape}; this release has {WIDTH} of them")

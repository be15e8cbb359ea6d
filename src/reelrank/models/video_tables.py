"""Rows for what a video is: its own, its author's, its tags', its sound's and its length's; their sum is the video's vector."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reelrank.features.tokens import Column, Rows
from reelrank.models.ranker_inputs import Floats, VideoTraits

UNSEEN = 0  # the row of whatever has none of its own
LENGTHS = 12  # buckets of the duration
NAMES = ("video", "author", "sound", "tag", "length")
_ADMITTED = NAMES[:-1]  # every length has a row


class Places(NamedTuple):
    """Where the rows of some videos lie in the tables; leading axes are whatever the videos' are."""

    video: Rows  # (…)
    author: Rows  # (…)
    sound: Rows  # (…)
    tag: Rows  # (…, T) UNSEEN counts for nothing
    length: Rows  # (…)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Which ids have rows of their own: a place for each dense row, UNSEEN for those that came up too seldom."""

    video: Rows  # (V,)
    author: Rows
    sound: Rows
    tag: Rows

    def places(self, rows: Rows, traits: VideoTraits) -> Places:
        """Where the rows of the videos `rows` (…) lie. Videos, authors, sounds and tags that are newer than the tables are UNSEEN."""
        author, sound, tag = traits.author[rows], traits.sound[rows], traits.tags[rows]
        return Places(_at(self.video, rows), _at(self.author, author), _at(self.sound, sound), _at(self.tag, tag), length_buckets(traits.duration_s[rows]))


@dataclass(frozen=True, slots=True)
class VideoTables:
    """The learned rows, in NumPy: what serving gathers from. A touched row is one array write."""

    admitted: Admitted
    rows: dict[str, Floats]  # name of NAMES -> (rows, d)
    content: Floats  # (C, d)

    def vectors(self, rows: Rows, traits: VideoTraits) -> Floats:
        """The vectors of the videos `rows` (…): (…, d)."""
        places = self.admitted.places(rows, traits)
        summed = sum(self.rows[name][getattr(places, name)] for name in ("video", "author", "sound", "length"))
        tagged = (places.tag != UNSEEN)[..., None]
        tags = (self.rows["tag"][places.tag] * tagged).sum(axis=-2) / np.maximum(tagged.sum(axis=-2), 1)
        return np.asarray(summed + tags + traits.content[rows] @ self.content, dtype=np.float32)


def length_buckets(duration_s: Column) -> Rows:
    """Two for each doubling from 5 s on; 0 where nobody knows."""
    known = np.maximum(duration_s, 1e-3)
    return np.where(duration_s > 0, np.clip(2 + np.floor(2 * np.log2(known / 5.0)).astype(np.int64), 1, LENGTHS - 1), 0)


def admit(traits: VideoTraits, seen: Rows, after: int) -> Admitted:
    """Gives a row to each id that came up at least `after` times; `seen` (V,) says how often each video did."""
    tagged = traits.tags >= 0
    return Admitted(
        video=_admitted(np.arange(len(seen)), seen, after),
        author=_admitted(traits.author, seen, after),
        sound=_admitted(traits.sound, seen, after),
        tag=_admitted(traits.tags[tagged], np.repeat(seen, tagged.sum(axis=1)), after),
    )


def _admitted(ids: Rows, seen: Rows, after: int) -> Rows:
    there = ids >= 0
    enough = np.bincount(ids[there], weights=seen[there]) >= after
    return np.where(enough, np.cumsum(enough), UNSEEN)


def _at(places: Rows, ids: Rows) -> Rows:
    known = (ids >= 0) & (ids < len(places))
    return np.where(known, places[np.where(known, ids, 0)] if len(places) else UNSEEN, UNSEEN)


def save(tables: VideoTables, folder: Path) -> None:
    """Writes one .npy file for each table."""
    for name in _ADMITTED:
        np.save(folder / f"places-{name}.npy", getattr(tables.admitted, name))
    for name, rows in tables.rows.items():
        np.save(folder / f"rows-{name}.npy", rows)
    np.save(folder / "content.npy", tables.content)


def load(folder: Path) -> VideoTables:
    """Reads what `save` wrote. The places are memory-mapped; the rows are copied, because they change while they serve."""
    admitted = Admitted(**{name: np.load(folder / f"places-{name}.npy", mmap_mode="r") for name in _ADMITTED})
    return VideoTables(admitted, {name: np.load(folder / f"rows-{name}.npy") for name in NAMES}, np.load(folder / "content.npy"))


def rows_of(admitted: Admitted) -> dict[str, int]:
    """How many rows each table needs, UNSEEN among them."""
    sizes = {name: int(getattr(admitted, name).max(initial=0)) + 1 for name in _ADMITTED}
    return {**sizes, "length": LENGTHS}

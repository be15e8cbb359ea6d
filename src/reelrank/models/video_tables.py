"""Rows for what a video is: its own, its author's, its tags', its sound's and its length's; their sum is the video's vector."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reelrank.domain.arrays import Column, Floats, Rows
from reelrank.features.row_index import NO_KEY, Keys
from reelrank.models.live_tables import KeyedTable, LiveTable, LiveTables
from reelrank.models.ranker_inputs import VideoTraits
from reelrank.models.shifts import HEAD, USER, Shifts, mapped

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


class TableArrays(NamedTuple):
    """All that a ranker looks up, as it lies in the folder of its artifact."""

    admitted: Admitted
    rows: dict[str, Floats]  # (rows, d) by the names of NAMES
    content: Floats  # (C, d)
    shifts: Shifts

    @classmethod
    def load(cls, folder: Path) -> "TableArrays":
        """Reads what `save` wrote, memory-mapped: a page is copied when something in it changes. Raises OSError, or ValueError, which names the file."""
        admitted = Admitted(**{name: mapped(folder / f"places-{name}.npy") for name in _ADMITTED})
        rows = {name: mapped(folder / f"rows-{name}.npy") for name in NAMES}
        for name in _ADMITTED:
            places, there = getattr(admitted, name), len(rows[name])
            if places.dtype.kind != "i" or places.min(initial=0) < 0 or places.max(initial=0) >= there:
                raise ValueError(f"{folder / f'places-{name}.npy'} holds places that are none of the {there} in rows-{name}.npy")
        return cls(admitted, rows, mapped(folder / "content.npy"), Shifts.load(folder))

    def save(self, folder: Path) -> None:
        """Writes places and rows as .npy files into a folder that exists."""
        for name in NAMES:
            np.save(folder / f"rows-{name}.npy", self.rows[name])
        for name in _ADMITTED:
            np.save(folder / f"places-{name}.npy", getattr(self.admitted, name))
        np.save(folder / "content.npy", self.content)
        self.shifts.save(folder)


class VideoTables:
    """The learned rows, in NumPy: what serving gathers from. They may change at any moment, all rows of an update at once."""

    def __init__(self, arrays: TableArrays) -> None:
        """What is given is taken over and written to."""
        rows, shifts = arrays.rows, arrays.shifts
        videos = {name: LiveTable(getattr(arrays.admitted, name), rows[name]) for name in _ADMITTED}
        videos["length"] = LiveTable(np.arange(LENGTHS), rows["length"])
        shifted = {HEAD: KeyedTable(np.array([NO_KEY, 1]), shifts.everyone), USER: KeyedTable(shifts.keys, shifts.users)}
        self.live = LiveTables({**videos, **shifted})
        self.content = arrays.content

    def vectors(self, rows: Rows, traits: VideoTraits) -> Floats:
        """The vectors of the videos `rows` (…): (…, d)."""
        with self.live.held() as tables:
            summed = sum(tables[name].look_up(ids) for name, ids in _ids_of(rows, traits).items())
            places = tables["tag"].rows_of(traits.tags[rows])
            share = (places != UNSEEN).astype(np.float32)
            share /= np.maximum(share.sum(axis=-1, keepdims=True), 1)
            summed = summed + np.einsum("...t,...td->...d", share, tables["tag"].weights.take(places, axis=0))
        return np.asarray(summed + traits.content[rows] @ self.content if len(self.content) else summed, dtype=np.float32)

    def shift(self, users: Keys) -> Floats:
        """What was learned to be added to the logits of the candidates of users (n,), by `shifts.user_keys`: (n, heads)."""
        with self.live.held() as tables:
            return tables[HEAD].weights[1] + tables[USER].look_up(users)


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


def rows_of(admitted: Admitted) -> dict[str, int]:
    """How many rows each table needs, UNSEEN among them."""
    sizes = {name: int(getattr(admitted, name).max(initial=0)) + 1 for name in _ADMITTED}
    return {**sizes, "length": LENGTHS}


def _ids_of(rows: Rows, traits: VideoTraits) -> dict[str, Rows]:
    """What each video is looked up by in the tables that have one row for it."""
    return {"video": rows, "author": traits.author[rows], "sound": traits.sound[rows], "length": length_buckets(traits.duration_s[rows])}

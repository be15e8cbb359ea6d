"""The board: rankings of what trends, made from all counters by one process of a machine and read by the others."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.candidates.rows import strongest
from reelrank.candidates.tracked import HOURS, Seen, Tracked, Values
from reelrank.domain.arrays import Rows
from reelrank.domain.user import no_rows
from reelrank.features.columns import VideoColumns
from reelrank.features.reader import FeatureReader
from reelrank.features.velocity import now_and_lately, ratio
from reelrank.storage.counter_store import Kind

BOARD_FORM = 1  # of the arrays of a board; another release may write others

_PRIOR = 10.0  # engagement that a window needs to be believed as much as the longer one
_VELOCITY = 0.25  # power of now / lately: what doubles its pace gains a fifth
KEPT, _KEPT_PER_TAG = 1_000, 100  # of the best, in all and under each tag
_TAGGED = 20_000  # best videos that the lists by tag are made from
_TRACKED = {Kind.VIDEO: 200_000, Kind.TAG: 100_000, Kind.SOUND: 100_000, Kind.PLACE_VIDEO: 200_000}  # how many of each at most
_REMEMBERED, _REMEMBERED_EVERY_S = 20_000, 60.0  # of each kind


def trend(drawn: Values) -> Values:
    """How much engagement per hour each video draws now, with a bonus for what speeds up; `drawn` as from `engagement`: (n,).

    A window's pace is shrunk towards that of the next longer one (gamma-Poisson), the longest towards the video's share
    of all engagement ever: minutes count where much happens, the week where little does.
    """
    ever = 1.0 + drawn[:, -1]
    pace = lately = ever / ever.mean() * max(drawn[:, 0].mean() / HOURS["7d"], 1e-6)
    for place, (name, hours) in enumerate(HOURS.items()):
        pace = (drawn[:, place] + _PRIOR) / (hours + _PRIOR / pace)
        if name == "1d":
            lately = pace
    return pace * (pace / lately) ** _VELOCITY


class Trend(NamedTuple):
    """How one video, tag or sound does."""

    row: int
    score: float  # engagement per hour, with the bonus for what speeds up
    velocity: float  # features.velocity: its pace now over its pace lately


class Ranked(NamedTuple):
    """Rows, best first, with their scores and velocities."""

    rows: Rows
    scores: Values
    velocities: Values

    def take(self, which: NDArray[np.bool_] | slice) -> "Ranked":
        return Ranked(self.rows[which], self.scores[which], self.velocities[which])

    def told(self, count: int) -> list[Trend]:
        return [Trend(*one) for one in zip(self.rows[:count].tolist(), self.scores[:count].tolist(), self.velocities[:count].tolist(), strict=True)]


class ByTag(NamedTuple):
    """Videos under each of their tags, one entry for each pair: by tag, then best first."""

    tags: Rows  # (entries,)
    rows: Rows  # (entries,)

    def under(self, tag_row: int) -> Rows:
        begin, end = np.searchsorted(self.tags, [tag_row, tag_row + 1])
        return self.rows[begin : min(end, begin + _KEPT_PER_TAG)]


class AtPlaces(NamedTuple):
    """What videos drew at places, in half the room of `Seen`: it is rewritten and read every few seconds."""

    keys: Rows  # (n,) ascending, a place's row << 32 | a video's
    drawn: NDArray[np.float32]  # (n, windows + 1) whole numbers
    paces: NDArray[np.float32]  # (n, 4)
    seen_at: NDArray[np.float64]  # () UTC seconds

    @staticmethod
    def of(seen: Seen) -> "AtPlaces":
        return AtPlaces(seen.keys, seen.drawn.astype(np.float32), seen.paces.astype(np.float32), np.asarray(seen.at, dtype=np.float64))

    def at(self, place_row: int) -> Seen:
        """What videos drew at one place; keys are the videos' rows."""
        begin, end = np.searchsorted(self.keys, [place_row << 32, (place_row + 1) << 32])
        drawn, paces = self.drawn[begin:end].astype(np.float64), self.paces[begin:end].astype(np.float64)
        return Seen(self.keys[begin:end] & 0xFFFFFFFF, drawn, paces, np.full(len(drawn), np.inf), float(self.seen_at))


class Board(NamedTuple):
    """Rankings as of one moment, and what is needed to rank at a place that somebody asks for."""

    videos: Ranked
    tags: Ranked
    sounds: Ranked
    by_tag: ByTag
    at_places: AtPlaces
    known: int  # videos of the catalogue: all rows lie below

    @staticmethod
    def empty() -> "Board":
        nothing = rank(Seen.nothing(), 0)
        return Board(nothing, nothing, nothing, ByTag(no_rows(), no_rows()), AtPlaces.of(Seen.nothing()), 0)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """For a file."""
        parts = {name: part._asdict() for name, part in self._asdict().items() if name != "known"}
        return {f"{name}.{field}": value for name, part in parts.items() for field, value in part.items()} | {"known": np.asarray(self.known)}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> "Board":
        """What `to_arrays` made; the arrays are not copied."""

        def part(kind: Any, name: str) -> Any:
            return kind(*(arrays[f"{name}.{field}"] for field in kind._fields))

        videos, tags, sounds = (part(Ranked, name) for name in ("videos", "tags", "sounds"))
        return Board(videos, tags, sounds, part(ByTag, "by_tag"), part(AtPlaces, "at_places"), int(arrays["known"]))


class BoardMaker:
    """Makes boards, following the counters change by change.

    Reading all counters for the first time takes minutes where there are a million of them, a little at a time. What is known to have
    been strong before is read first: `strong` by the names of kinds.
    """

    def __init__(self, reader: FeatureReader, columns: VideoColumns, strong: Mapping[str, Rows]) -> None:
        self._reader = reader
        self._columns = columns
        self._touched = -1
        self._made_at = -np.inf
        self._strong, self._strong_at = dict(strong), -np.inf
        self._tracked = {kind: Tracked(reader, kind, most, strong.get(kind.name)) for kind, most in _TRACKED.items()}

    @property
    def filled(self) -> bool:
        """Whether everything was read at least once."""
        return all(tracked.filled for tracked in self._tracked.values())

    def fill(self, now: float) -> None:
        """Reads on, as long as not everything was read at least once."""
        for tracked in self._tracked.values():
            tracked.fill(now)

    def make(self, now: float) -> Board:
        """The board as of `now`, UTC seconds."""
        upto, touched = self._reader.touched(self._touched)
        for kind, tracked in self._tracked.items():
            if touched is None or now < self._made_at:
                tracked.begin_again()
            tracked.refresh(now, no_rows() if touched is None else touched[kind])
        self.fill(now)
        best = rank(servable(self._tracked[Kind.VIDEO].seen, self._columns), _TAGGED)
        board = Board(
            best.take(slice(KEPT)),
            rank(self._tracked[Kind.TAG].seen, KEPT),
            rank(self._tracked[Kind.SOUND].seen, KEPT),
            _by_tag(self._columns.tag_rows, best.rows),
            AtPlaces.of(self._tracked[Kind.PLACE_VIDEO].seen),
            self._columns.count,  # now: there may be more than when this began, and never fewer
        )
        self._touched, self._made_at = upto, now  # at last: what fails on the way is looked at again
        return board

    def strong(self, now: float) -> dict[str, Rows]:
        """The keys that drew the most lately, by the names of kinds, for who goes on after this process; looked for now and then."""
        if abs(now - self._strong_at) >= _REMEMBERED_EVERY_S:
            self._strong_at = now
            self._strong = {kind.name: tracked.strongest(_REMEMBERED) for kind, tracked in self._tracked.items()}
        return self._strong


def servable(videos: Seen, columns: VideoColumns) -> Seen:
    """Those of `videos` that are known and still up."""
    known = videos.between(0, columns.count)
    return known.take(~columns.removed[known.keys])


def rank(seen: Seen, count: int) -> Ranked:
    """The `count` that trend most, best first."""
    if len(seen.keys) == 0:
        return Ranked(no_rows(), np.empty(0), np.empty(0))
    scores = trend(seen.drawn)
    best = strongest(scores, count)
    velocities = ratio(*now_and_lately(seen.paces[best], np.full(len(best), seen.at)))
    return Ranked(seen.keys[best], scores[best], velocities)


def _by_tag(tag_rows: Rows, best: Rows) -> ByTag:
    """The best videos under each of their tags, `best` first; `tag_rows` (rows, MAX_TAGS) of the whole catalogue."""
    tags = tag_rows[best]
    has = tags >= 0
    names, rows = tags[has], np.repeat(best, has.sum(axis=1))
    order = np.argsort(names, kind="stable")
    return ByTag(names[order], rows[order])

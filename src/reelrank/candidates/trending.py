"""Trending: what many engage with right now, everywhere, at a place, and under a tag."""

import logging
import os
import threading
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from reelrank.candidates.rows import interleaved, strongest, unseen
from reelrank.candidates.tracked import HOURS, Seen, Tracked, Values
from reelrank.domain.arrays import Rows
from reelrank.domain.clock import Clock
from reelrank.domain.user import User, no_rows
from reelrank.features.columns import VideoColumns
from reelrank.features.reader import FeatureReader
from reelrank.features.velocity import now_and_lately, ratio
from reelrank.pipeline.stages import Proposal, Query
from reelrank.storage.counter_store import Kind

logger = logging.getLogger(__name__)

_PRIOR = 10.0  # engagement that a window needs to be believed as much as the longer one
_VELOCITY = 0.25  # power of now / lately: what doubles its pace gains a fifth
_KEPT, _KEPT_AT_PLACE, _KEPT_PER_TAG = 1_000, 300, 100
_TAGGED = 20_000  # best videos that the lists by tag are made from
_TRACKED = {Kind.VIDEO: 200_000, Kind.TAG: 100_000, Kind.SOUND: 100_000, Kind.PLACE_VIDEO: 200_000}  # how many of each at most
_REMEMBERED, _REMEMBERED_EVERY_S = 20_000, 60.0  # of each kind
_TAGS = 6  # of a user
_HALF_LIFE_WATCHES = 50


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


class _Ranked(NamedTuple):
    """Rows, best first, with their scores and velocities."""

    rows: Rows
    scores: Values
    velocities: Values

    def first(self, count: int) -> "_Ranked":
        return _Ranked(self.rows[:count], self.scores[:count], self.velocities[:count])

    def told(self, count: int) -> list[Trend]:
        return [Trend(*one) for one in zip(self.rows[:count].tolist(), self.scores[:count].tolist(), self.velocities[:count].tolist(), strict=True)]


class _ByTag(NamedTuple):
    """Videos under each of their tags, one entry for each pair: by tag, then best first."""

    tags: Rows  # (entries,)
    rows: Rows  # (entries,)

    def under(self, tag_row: int) -> Rows:
        begin, end = np.searchsorted(self.tags, [tag_row, tag_row + 1])
        return self.rows[begin : min(end, begin + _KEPT_PER_TAG)]


class TrendingBoard:
    """The rankings that the trending sources share, made anew at most once per `refresh_s`. Safe to read while it refreshes.

    Reading all counters for the first time takes minutes where there are a million of them, a little at a refresh. What is strong goes
    into the file `remembered` now and then, and is read first by who starts again.
    """

    def __init__(self, reader: FeatureReader, columns: VideoColumns, clock: Clock, refresh_s: float = 5.0, remembered: Path | None = None) -> None:
        self._reader = reader
        self._columns = columns
        self._clock = clock
        self._refresh_s = refresh_s
        self._lock = threading.Lock()
        self._made_at = -np.inf
        self._touched = -1
        self._remembered, self._remembered_at = remembered, clock.now()
        first = _read_keys(remembered)
        self._tracked = {kind: Tracked(reader, kind, most, first.get(kind.name)) for kind, most in _TRACKED.items()}
        self._everywhere = _rank(Seen.nothing(), 0)
        self._by_tag = _ByTag(no_rows(), no_rows())
        self._at_places: dict[tuple[str, int], _Ranked] = {}  # what was asked for since the board was made

    def refresh(self) -> None:
        """Ranks again if `refresh_s` have passed, or while the counters are read for the first time."""
        with self._lock:
            now = self._clock.now()
            if abs(now - self._made_at) >= self._refresh_s or not all(tracked.filled for tracked in self._tracked.values()):  # a clock may be set back
                upto, touched = self._reader.touched(self._touched)
                for kind, tracked in self._tracked.items():
                    if touched is None or now < self._made_at:
                        tracked.begin_again()
                    tracked.refresh(now, no_rows() if touched is None else touched[kind])
                best = _rank(self._servable(self._tracked[Kind.VIDEO].seen), _TAGGED)
                self._everywhere = best.first(_KEPT)
                self._by_tag = _by_tag(self._columns.tag_rows, best.rows)
                self._at_places = {}
                self._touched, self._made_at = upto, now  # at last: what fails on the way is looked at again
                self._remember(now)

    def _remember(self, now: float) -> None:
        if self._remembered is None or abs(now - self._remembered_at) < _REMEMBERED_EVERY_S:
            return
        self._remembered_at = now
        written = self._remembered.with_name(f"{self._remembered.name}.{os.getpid()}")
        with written.open("wb") as file:
            np.savez(file, **{kind.name: tracked.strongest(_REMEMBERED) for kind, tracked in self._tracked.items()})
        written.replace(self._remembered)

    def everywhere(self) -> Rows:
        """Videos, best first."""
        return self._everywhere.rows

    def at(self, place: str) -> Rows:
        """What people at `place` engage with, best first; nothing at an unknown one."""
        return self._at("videos", place).rows

    def under(self, tag_row: int) -> Rows:
        """The best of a tag, best first."""
        return self._by_tag.under(tag_row)

    def videos(self, count: int, place: str | None = None) -> list[Trend]:
        """The videos that trend, everywhere or at a place, best first."""
        found = self._everywhere if place is None else self._at("videos", place)
        up = ~self._columns.removed[found.rows]
        return _Ranked(found.rows[up], found.scores[up], found.velocities[up]).told(count)

    def tags(self, count: int, place: str | None = None) -> list[Trend]:
        """The tags that trend, everywhere or at a place, best first."""
        return (_rank(self._tracked[Kind.TAG].seen, count) if place is None else self._at("tags", place)).told(count)

    def sounds(self, count: int, place: str | None = None) -> list[Trend]:
        """The sounds that trend, everywhere or at a place, best first."""
        return (_rank(self._tracked[Kind.SOUND].seen, count) if place is None else self._at("sounds", place)).told(count)

    def servable(self, rows: Rows, query: Query) -> Rows:
        """Those of `rows` that are still up and new to the user."""
        return rows[~self._columns.removed[rows] & unseen(rows, query.user.seen)]

    def _servable(self, videos: Seen) -> Seen:
        known = videos.between(0, self._columns.count)
        return known.take(~self._columns.removed[known.keys])

    def _at(self, what: str, place: str) -> _Ranked:
        """What trends at one place; ranked when somebody asks, once per refresh. Tags and sounds from the videos that are watched there."""
        place_row, answers = self._columns.places.get(place, -1), self._at_places
        if (what, place_row) not in answers:
            seen = self._tracked[Kind.PLACE_VIDEO].seen.between(place_row << 32, (place_row + 1) << 32) if place_row >= 0 else Seen.nothing()
            videos = self._servable(seen._replace(keys=seen.keys & 0xFFFFFFFF))
            if what == "tags":
                videos = videos.summed(self._columns.tag_rows[videos.keys])
            elif what == "sounds":
                videos = videos.summed(self._columns.sound_row[videos.keys, None])
            answers[what, place_row] = _rank(videos, _KEPT_AT_PLACE)
        return answers[what, place_row]


def _read_keys(path: Path | None) -> dict[str, Rows]:
    """What was remembered; nothing where there is no such file, or it is damaged: then everything is read from the beginning."""
    if path is None or not path.exists():
        return {}
    try:
        with np.load(path) as stored:
            return {kind.name: stored[kind.name].astype(np.int64) for kind in _TRACKED}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        logger.warning("what was strong before can't be read from %s, and is found again little by little", path)
        return {}


def _rank(seen: Seen, count: int) -> _Ranked:
    if len(seen.keys) == 0:
        return _Ranked(no_rows(), np.empty(0), np.empty(0))
    scores = trend(seen.drawn)
    best = strongest(scores, count)
    velocities = ratio(*now_and_lately(seen.paces[best], np.full(len(best), seen.at)))
    return _Ranked(seen.keys[best], scores[best], velocities)


class TrendingSource:
    """Proposes what trends everywhere."""

    name = "trending"

    def __init__(self, board: TrendingBoard) -> None:
        self._board = board

    def propose(self, query: Query, quota: int) -> Proposal:
        return Proposal(self._board.servable(self._board.everywhere(), query)[:quota])


class TrendingPlaceSource:
    """Proposes what trends where the user is, or was last."""

    name = "trending_place"

    def __init__(self, board: TrendingBoard) -> None:
        self._board = board

    def propose(self, query: Query, quota: int) -> Proposal:
        return Proposal(self._board.servable(self._board.at(query.context.place or query.user.place), query)[:quota])


class TrendingTagSource:
    """Proposes, in turn, what trends under each of the user's favourite tags."""

    name = "trending_tag"

    def __init__(self, board: TrendingBoard, columns: VideoColumns) -> None:
        self._board = board
        self._columns = columns

    def propose(self, query: Query, quota: int) -> Proposal:
        lists = [self._board.servable(self._board.under(tag), query) for tag in favourite_tags(query.user, self._columns)]
        return Proposal(interleaved(lists)[:quota])


def favourite_tags(user: User, columns: VideoColumns) -> list[int]:
    """The tags of the videos a user engaged with most and last, the dearest first."""
    watches = user.watches
    if len(watches) == 0:
        return []
    amounts = np.where(watches.skipped, -0.5, np.where(watches.long_view, 1.0, 0.2)) + 2.0 * np.isin(watches.video_rows, user.liked)
    amounts *= 0.5 ** (np.arange(len(watches))[::-1] / _HALF_LIFE_WATCHES)
    tags = columns.tag_rows[watches.video_rows]  # (n, MAX_TAGS)
    known = tags >= 0
    names, places = np.unique(tags[known], return_inverse=True)
    liking = np.bincount(places, weights=np.repeat(amounts, known.sum(axis=1)), minlength=len(names))
    best = strongest(liking, _TAGS)
    return names[best[liking[best] > 0]].tolist()


def _by_tag(tag_rows: Rows, best: Rows) -> _ByTag:
    """The best videos under each of their tags, `best` first; `tag_rows` (rows, MAX_TAGS) of the whole catalogue."""
    tags = tag_rows[best]
    has = tags >= 0
    names, rows = tags[has], np.repeat(best, has.sum(axis=1))
    order = np.argsort(names, kind="stable")
    return _ByTag(names[order], rows[order])

"""Trending: what many engage with right now, everywhere, at a place, and under a tag."""

import threading
from typing import NamedTuple

import numpy as np

from reelrank.candidates.board import Board, BoardMaker, Ranked, Trend, rank, servable
from reelrank.candidates.rows import interleaved, strongest, unseen
from reelrank.domain.arrays import Rows, among
from reelrank.domain.clock import Clock
from reelrank.domain.user import User
from reelrank.features.columns import VideoColumns
from reelrank.features.reader import FeatureReader
from reelrank.pipeline.stages import Proposal, Query
from reelrank.storage.made_once import MadeOnce

_KEPT_AT_PLACE = 300
_STRONG = "strong."  # what the names of such keys begin with, next to the arrays of a board
_TAGS = 6  # of a user
_HALF_LIFE_WATCHES = 50


class _Told(NamedTuple):
    """A board, and what was asked of it."""

    board: Board
    at_places: dict[tuple[str, int], Ranked]


class TrendingBoard:
    """The rankings that the trending sources share, new at most once per `refresh_s`. Safe to read while it refreshes.

    One process of a machine makes them for all that have the same `made`; without it this one does for itself.
    """

    def __init__(self, reader: FeatureReader, columns: VideoColumns, clock: Clock, refresh_s: float = 4.0, made: MadeOnce | None = None) -> None:
        self._reader = reader
        self._columns = columns
        self._clock = clock
        self._refresh_s = refresh_s
        self._made = made
        self._lock = threading.Lock()
        self._maker: BoardMaker | None = None  # while it is up to this process
        self._made_at = -np.inf
        self._strong: dict[str, Rows] = {}  # as the last board that was read has it
        self._told = _Told(Board.empty(), {})

    def refresh(self) -> None:
        """Ranks again if `refresh_s` have passed, or takes over what another process has ranked."""
        with self._lock:
            if self._made is not None and not self._made.mine(self._refresh_s):
                self._maker = None
                self._read(self._made)
                return
            if self._maker is None:
                if self._made is not None:
                    self._read(self._made)  # what is there is shown until there is more
                self._maker, self._made_at = BoardMaker(self._reader, self._columns, self._strong), -np.inf
            self._make(self._maker, self._clock.now())

    def _make(self, maker: BoardMaker, now: float) -> None:
        due = abs(now - self._made_at) >= self._refresh_s  # a clock may be set back
        if not due and not maker.filled:
            maker.fill(now)
            due = maker.filled
        if due:
            self._told = _Told(maker.make(now), {})
            self._made_at = now
            if self._made is not None:
                strong = {f"{_STRONG}{kind}": keys for kind, keys in maker.strong(now).items()}
                self._made.write(self._told.board.to_arrays() | strong)

    def _read(self, made: MadeOnce) -> None:
        if (arrays := made.news()) is not None:
            board = Board.from_arrays(arrays)
            if board.known > self._columns.count:
                self._columns.refresh()
            self._strong = {name.removeprefix(_STRONG): keys for name, keys in arrays.items() if name.startswith(_STRONG)}
            self._told = _Told(board, {})

    def everywhere(self) -> Rows:
        """Videos, best first."""
        return self._told.board.videos.rows

    def at(self, place: str) -> Rows:
        """What people at `place` engage with, best first; nothing at an unknown one."""
        return self._at("videos", place).rows

    def under(self, tag_row: int) -> Rows:
        """The best of a tag, best first."""
        return self._told.board.by_tag.under(tag_row)

    def videos(self, count: int, place: str | None = None) -> list[Trend]:
        """The videos that trend, everywhere or at a place, best first."""
        found = self._told.board.videos if place is None else self._at("videos", place)
        return found.take(~self._columns.removed[found.rows]).told(count)

    def tags(self, count: int, place: str | None = None) -> list[Trend]:
        """The tags that trend, everywhere or at a place, best first."""
        return (self._told.board.tags if place is None else self._at("tags", place)).told(count)

    def sounds(self, count: int, place: str | None = None) -> list[Trend]:
        """The sounds that trend, everywhere or at a place, best first."""
        return (self._told.board.sounds if place is None else self._at("sounds", place)).told(count)

    def servable(self, rows: Rows, query: Query) -> Rows:
        """Those of `rows` that are still up and new to the user."""
        return rows[~self._columns.removed[rows] & unseen(rows, query.user.seen)]

    def _at(self, what: str, place: str) -> Ranked:
        """What trends at one place; ranked when somebody asks, once for each board. Tags and sounds from the videos that are watched there."""
        place_row, told = self._columns.places.get(place, -1), self._told
        if (what, place_row) not in told.at_places:
            videos = servable(told.board.at_places.at(place_row), self._columns)  # no keys lie below 0, the place that nobody knows
            if what == "tags":
                videos = videos.summed(self._columns.tag_rows[videos.keys])
            elif what == "sounds":
                videos = videos.summed(self._columns.sound_row[videos.keys, None])
            told.at_places[what, place_row] = rank(videos, _KEPT_AT_PLACE)
        return told.at_places[what, place_row]


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
    """The tags that a user wants more of, then those of the videos they engaged with most and last, the dearest first, without those they want less of."""
    wished = [row for tag, amount in user.topics.items() if amount > 0 and (row := columns.tag_named.get(tag)) is not None]
    unwanted = {columns.tag_named.get(tag) for tag, amount in user.topics.items() if amount < 0}
    return [tag for tag in dict.fromkeys(wished[::-1] + _engaged_tags(user, columns)) if tag not in unwanted][:_TAGS]


def _engaged_tags(user: User, columns: VideoColumns) -> list[int]:
    watches = user.watches
    if len(watches) == 0:
        return []
    amounts = np.where(watches.skipped, -0.5, np.where(watches.long_view, 1.0, 0.2)) + 2.0 * among(watches.video_rows, user.liked)
    amounts *= 0.5 ** (np.arange(len(watches))[::-1] / _HALF_LIFE_WATCHES)
    tags = columns.tag_rows[watches.video_rows]  # (n, MAX_TAGS)
    known = tags >= 0
    names, places = np.unique(tags[known], return_inverse=True)
    liking = np.bincount(places, weights=np.repeat(amounts, known.sum(axis=1)), minlength=len(names))
    best = strongest(liking, _TAGS)
    return names[best[liking[best] > 0]].tolist()

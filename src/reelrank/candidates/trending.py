"""Trending: what many engage with right now, everywhere, at a place, and under a tag."""

import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reelrank.candidates.rows import interleaved, strongest, unseen
from reelrank.candidates.video_counters import video_counters
from reelrank.domain.clock import Clock
from reelrank.domain.user import Rows, User, no_rows
from reelrank.features import windows
from reelrank.features.columns import VideoColumns
from reelrank.features.reader import FeatureReader
from reelrank.features.windows import COUNTERS, Counter, Counters
from reelrank.pipeline.stages import Proposal, Query
from reelrank.storage.counter_store import Kind

Values = NDArray[np.float64]

_WORTH = {Counter.LONG_VIEWS: 1.0, Counter.LIKES: 3.0, Counter.SHARES: 4.0, Counter.COMMENTS: 2.0, Counter.FOLLOWS: 4.0, Counter.HIDES: -4.0}
_HOURS = {"7d": 168.0, "1d": 24.0, "1h": 1.0, "5min": 1 / 12}  # longest first: each is the prior of the next
_PRIOR = 10.0  # engagement that a window needs to be believed as much as the longer one
_VELOCITY = 0.25  # power of now / lately: what doubles its pace gains a fifth
_KEPT, _KEPT_AT_PLACE, _KEPT_PER_TAG = 1_000, 300, 100
_TAGS = 6  # of a user
_HALF_LIFE_WATCHES = 50


def engagement(state: Counters, now: float) -> Values:
    """What videos (n, WIDTH) drew in each window of `_HOURS`, and ever: (n, windows + 1)."""
    worth = np.zeros(COUNTERS)
    worth[list(_WORTH)] = list(_WORTH.values())
    counted = [windows.window(state, name, now) for name in _HOURS] + [windows.totals(state)]
    return np.stack([np.maximum(counts @ worth, 0.0) for counts in counted], axis=1)


def trend(drawn: Values) -> Values:
    """How much engagement per hour each video draws now, with a bonus for what speeds up; `drawn` as from `engagement`: (n,).

    A window's pace is shrunk towards that of the next longer one (gamma-Poisson), the longest towards the video's share
    of all engagement ever: minutes count where much happens, the week where little does.
    """
    ever = 1.0 + drawn[:, -1]
    pace = lately = ever / ever.mean() * max(drawn[:, 0].mean() / _HOURS["7d"], 1e-6)
    for place, (name, hours) in enumerate(_HOURS.items()):
        pace = (drawn[:, place] + _PRIOR) / (hours + _PRIOR / pace)
        if name == "1d":
            lately = pace
    return pace * (pace / lately) ** _VELOCITY


@dataclass(frozen=True, slots=True)
class _Trends:
    made_at: float = -np.inf
    everywhere: Rows = field(default_factory=no_rows)  # best first
    places: dict[int, Rows] = field(default_factory=dict)  # place row -> best first
    tags: dict[int, Rows] = field(default_factory=dict)  # tag row -> best first


class TrendingBoard:
    """The rankings that the trending sources share, made anew at most once per `refresh_s`."""

    def __init__(self, reader: FeatureReader, columns: VideoColumns, clock: Clock, refresh_s: float = 5.0) -> None:
        self._reader = reader
        self._columns = columns
        self._clock = clock
        self._refresh_s = refresh_s
        self._lock = threading.Lock()
        self._trends = _Trends()

    def refresh(self) -> None:
        """Ranks again if `refresh_s` have passed."""
        with self._lock:
            now = self._clock.now()
            if abs(now - self._trends.made_at) >= self._refresh_s:  # a clock may be set back
                self._trends = self._rank(now)

    def everywhere(self) -> Rows:
        """Best first."""
        return self._trends.everywhere

    def at(self, place: str) -> Rows:
        """What people at `place` engage with, best first; nothing at an unknown one."""
        return self._trends.places.get(self._columns.places.get(place, -1), no_rows())

    def under(self, tag_row: int) -> Rows:
        """The best of a tag, best first."""
        return self._trends.tags.get(tag_row, no_rows())

    def servable(self, rows: Rows, query: Query) -> Rows:
        """Those of `rows` that are still up and new to the user."""
        return rows[~self._columns.removed[rows] & unseen(rows, query.user.seen)]

    def _rank(self, now: float) -> _Trends:
        columns = self._columns
        pieces = [(rows, engagement(state, now)) for rows, state in video_counters(self._reader, columns.count)]
        if not pieces:
            return _Trends(made_at=now)
        rows, drawn = (np.concatenate(part) for part in zip(*pieces, strict=True))
        scores = trend(drawn)
        up = ~columns.removed[rows]
        rows, scores = rows[up], scores[up]
        best = rows[strongest(scores, _KEPT)]
        return _Trends(
            now, best, {place: self._rank_place(place, now) for place in set(columns.places.values())}, _by_tag(columns.tag_rows[rows], rows, scores)
        )

    def _rank_place(self, place_row: int, now: float) -> Rows:
        keys, state = self._reader.scan(Kind.PLACE_VIDEO, place_row << 32, (place_row + 1) << 32)
        rows = keys & 0xFFFFFFFF
        known = rows < self._columns.count
        rows, state = rows[known], state[known]
        return rows[strongest(trend(engagement(state, now)), _KEPT_AT_PLACE)] if len(rows) else no_rows()


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


def _by_tag(tags: Rows, rows: Rows, scores: Values) -> dict[int, Rows]:
    """The best of `rows` (n,) under each of their `tags` (n, MAX_TAGS)."""
    has = tags >= 0
    names, owners = tags[has], np.repeat(np.arange(len(rows)), has.sum(axis=1))
    order = np.lexsort((rows[owners], -scores[owners], names))
    distinct, starts = np.unique(names[order], return_index=True)
    ranked = np.split(rows[owners[order]], starts)[1:]
    return {tag: best[:_KEPT_PER_TAG] for tag, best in zip(distinct.tolist(), ranked, strict=True)}

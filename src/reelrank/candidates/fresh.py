"""Fresh: videos uploaded lately: the newest, those that the fewest people have had on their screen, and those that have earned more."""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reelrank.candidates.rows import interleaved, strongest, unseen
from reelrank.domain.arrays import Column, Rows
from reelrank.domain.clock import Clock
from reelrank.domain.params import FeedParams
from reelrank.domain.user import no_rows
from reelrank.features.columns import VideoColumns
from reelrank.features.rates import outcomes
from reelrank.features.reader import FeatureReader
from reelrank.features.windows import COUNTERS, Counter, Windowed, totals
from reelrank.pipeline.stages import Proposal, Query
from reelrank.storage.counter_store import Kind
from reelrank.storage.made_once import MadeOnce

POOL_FORM = 1  # of the arrays of a pool; another release may write others

_POOL = 2_000  # newest videos that are looked at
_FRESH_FOR_S = 30 * 86_400.0
_HOLDS_S = 3.0  # a pool that another process has made: then somebody else makes it, if nobody does
_PRIOR = 20.0  # outcomes at the rate of all new videos that come before a video's own


@dataclass(frozen=True, slots=True)
class _Pool:
    count: int  # videos in the catalogue when it was made
    rows: Rows  # (n,) newest first
    counted: Windowed  # (n, COUNTERS)
    impressions: Column  # (n,) or outcomes, where more of these were told
    outcomes: Column  # (n,)
    rates: Column  # (n,) expected long views per outcome


class FreshSource:
    """Proposes in turn the newest, what lacks its first impressions, in another order for each query, and what has had these and earned more."""

    name = "fresh"

    def __init__(self, columns: VideoColumns, reader: FeatureReader, clock: Clock, made: MadeOnce | None = None) -> None:
        self._columns = columns
        self._reader = reader
        self._clock = clock
        self._made = made
        self._oldest = -np.inf  # when the oldest of a full pool was uploaded: who is looked for is as new
        self._touched = -1  # commits of the counters up to this one are known of
        self._counts = no_rows(), np.empty((0, COUNTERS), dtype=np.int64)  # rows ascending, and what was counted of them by then
        self._lock = threading.Lock()
        self._known_bars: tuple[_Pool, object, tuple[float, ...]] | None = None  # replaced whole
        self._pool = _pool_of(0, no_rows(), np.empty((0, COUNTERS), dtype=np.int64))
        self.refresh()

    def refresh(self) -> None:
        """Looks for new videos, and at how often the ones known were shown; a pass over all videos, so not for a request.

        One process of a machine does for all that have the same `made`; without it this one does for itself.
        """
        with self._lock:
            if self._made is not None and not self._made.mine(_HOLDS_S):
                self._touched = -1
                self._read(self._made)
                return
            count = self._columns.count
            rows = self._newest_since(self._oldest, count)
            if len(rows) < _POOL and self._oldest > -np.inf:  # some of them were taken down
                rows = self._newest_since(-np.inf, count)
            self._oldest = float(self._columns.uploaded_at[rows[-1]]) if len(rows) == _POOL else -np.inf
            self._pool = _pool_of(count, rows, self._counts_of(rows))
            if self._made is not None:
                self._made.write({"count": np.asarray(count), "rows": rows, "counted": self._pool.counted.astype(np.int32)})

    def _read(self, made: MadeOnce) -> None:
        """Takes over what another process has found."""
        if (arrays := made.news()) is not None:
            if arrays["count"] > self._columns.count:
                self._columns.refresh()
            self._pool = _pool_of(int(arrays["count"]), arrays["rows"], arrays["counted"].astype(np.int64))

    def _counts_of(self, rows: Rows) -> Windowed:
        """All that was ever counted of `rows` (n,): (n, COUNTERS). Only what was touched since the last time is read again."""
        upto, touched = self._reader.touched(self._touched)
        known, counts = self._counts if touched is not None else (no_rows(), np.empty((0, COUNTERS), dtype=np.int64))
        places = np.searchsorted(known, rows)
        held = places < len(known)
        held[held] = known[places[held]] == rows[held]
        if touched is not None:
            held &= ~np.isin(rows, touched[Kind.VIDEO])
        counted = np.empty((len(rows), COUNTERS), dtype=np.int64)
        counted[held], counted[~held] = counts[places[held]], totals(self._reader.video_counters(rows[~held]))
        order = np.argsort(rows)
        self._counts, self._touched = (rows[order], counted[order]), upto
        return counted

    def _take_in(self) -> None:
        """Adds what was published since: nobody has seen it yet."""
        with self._lock:
            pool, count = self._pool, self._columns.count
            new = pool.count + np.flatnonzero(self._is_fresh(slice(pool.count, count)))
            rows = self._newest_of(np.concatenate([pool.rows, new]))
            by_row = np.argsort(pool.rows)
            old = rows < pool.count
            counted = np.zeros((len(rows), COUNTERS), dtype=np.int64)
            counted[old] = pool.counted[by_row[np.searchsorted(pool.rows, rows[old], sorter=by_row)]]
            self._pool = _pool_of(count, rows, counted)

    def _newest_since(self, uploaded_at: float, count: int) -> Rows:
        """Of the first `count` videos the newest that are as new as that, the newest first."""
        rows = np.flatnonzero(self._columns.uploaded_at[:count] >= uploaded_at)
        return self._newest_of(rows[self._is_fresh(rows)])

    def _is_fresh(self, rows: slice | Rows) -> NDArray[np.bool_]:
        return (self._columns.uploaded_at[rows] > self._clock.now() - _FRESH_FOR_S) & ~self._columns.removed[rows]

    def _newest_of(self, rows: Rows) -> Rows:
        uploaded_at = self._columns.uploaded_at
        if len(rows) > _POOL:
            rows = rows[np.argpartition(-uploaded_at[rows], _POOL)[:_POOL]]
        return rows[np.lexsort((-rows, -uploaded_at[rows]))]

    def propose(self, query: Query, quota: int) -> Proposal:
        if self._pool.count != self._columns.count:
            self._take_in()  # somebody has just published: the first request may show it
        pool = self._pool
        kept = ~self._columns.removed[pool.rows] & unseen(pool.rows, query.user.seen)
        rows, impressions, rates = pool.rows[kept], pool.impressions[kept], pool.rates[kept]
        unknown = np.flatnonzero(impressions < query.params.exploration_impressions)
        chance = query.rng.random(len(unknown))  # among equals, so that not everybody is shown the same one
        waiting = rows[unknown[strongest(-(impressions[unknown] + chance), quota)]]
        tier = np.searchsorted(query.params.exploration_edges, impressions, side="right") - 1  # -1 for those that wait
        earned = np.flatnonzero((tier >= 0) & (rates >= np.array([*self._bars_of(pool, query.params), np.inf])[tier]))
        promoted = rows[earned[np.argsort(-rates[earned], kind="stable")[:quota]]]
        return Proposal(interleaved([rows[:quota], waiting, promoted])[:quota])

    def bars(self, params: FeedParams) -> tuple[float, ...]:
        """For each traffic pool the long view rate that a new video has to reach to enter it: a quantile of those that have had as much before."""
        return self._bars_of(self._pool, params)

    def _bars_of(self, pool: _Pool, params: FeedParams) -> tuple[float, ...]:
        """Worked out once for a pool and what experiments make of it: a request asks several times."""
        known, wanted = self._known_bars, (params.exploration_edges, params.exploration_promotion)
        if known is None or known[0] is not pool or known[1] != wanted:
            self._known_bars = known = (pool, wanted, _bars(pool, params))
        return known[2]


def _pool_of(count: int, rows: Rows, counted: Windowed) -> _Pool:
    ended, long_views = outcomes(counted), counted[:, Counter.LONG_VIEWS]
    everyones = (long_views.sum() + 0.5) / (ended.sum() + 1.0)
    rates = (long_views + _PRIOR * everyones) / (ended + _PRIOR)
    return _Pool(count, rows, counted, np.maximum(counted[:, Counter.IMPRESSIONS], ended), ended, rates)


def _bars(pool: _Pool, params: FeedParams) -> tuple[float, ...]:
    peers = [pool.rates[pool.outcomes >= edge] for edge in params.exploration_edges[:-1]]
    return tuple(float(np.quantile(rates, params.exploration_promotion)) if len(rates) else 0.0 for rates in peers)

"""Fresh: videos uploaded lately: the newest, those that the fewest people have had on their screen, and those that have earned more."""

import threading
from dataclasses import dataclass

import numpy as np

from reelrank.candidates.rows import interleaved, unseen
from reelrank.domain.arrays import Column, Rows
from reelrank.domain.clock import Clock
from reelrank.domain.params import FeedParams
from reelrank.domain.user import no_rows
from reelrank.features.columns import VideoColumns
from reelrank.features.rates import outcomes
from reelrank.features.reader import FeatureReader
from reelrank.features.windows import Counter, totals
from reelrank.pipeline.stages import Proposal, Query

_POOL = 2_000  # newest videos that are looked at
_FRESH_FOR_S = 30 * 86_400.0
_PRIOR = 20.0  # outcomes at the rate of all new videos that come before a video's own


@dataclass(frozen=True, slots=True)
class _Pool:
    count: int  # videos in the catalogue when it was made
    rows: Rows  # (n,) newest first
    impressions: Column  # (n,) or outcomes, where more of these were told
    outcomes: Column  # (n,)
    rates: Column  # (n,) expected long views per outcome


class FreshSource:
    """Proposes in turn the newest, what lacks its first impressions, in another order for each query, and what has had these and earned more."""

    name = "fresh"

    def __init__(self, columns: VideoColumns, reader: FeatureReader, clock: Clock) -> None:
        self._columns = columns
        self._reader = reader
        self._clock = clock
        self._lock = threading.Lock()
        self._pool = _Pool(0, no_rows(), np.empty(0), np.empty(0), np.empty(0))
        self.refresh()

    def refresh(self) -> None:
        """Looks for new videos, and at how often the ones known were shown."""
        with self._lock:
            count = self._columns.count
            uploaded_at = self._columns.uploaded_at[:count]
            rows = np.flatnonzero((uploaded_at > self._clock.now() - _FRESH_FOR_S) & ~self._columns.removed[:count])
            if len(rows) > _POOL:
                rows = rows[np.argpartition(-uploaded_at[rows], _POOL)[:_POOL]]
            rows = rows[np.lexsort((-rows, -uploaded_at[rows]))]
            counted = totals(self._reader.video_counters(rows))
            ended, long_views = outcomes(counted), counted[:, Counter.LONG_VIEWS]
            everyones = (long_views.sum() + 0.5) / (ended.sum() + 1.0)
            self._pool = _Pool(count, rows, np.maximum(counted[:, Counter.IMPRESSIONS], ended), ended, (long_views + _PRIOR * everyones) / (ended + _PRIOR))

    def propose(self, query: Query, quota: int) -> Proposal:
        if self._pool.count != self._columns.count:
            self.refresh()  # somebody has just published: the first request may show it
        pool = self._pool
        kept = ~self._columns.removed[pool.rows] & unseen(pool.rows, query.user.seen)
        rows, impressions, rates = pool.rows[kept], pool.impressions[kept], pool.rates[kept]
        unknown = np.flatnonzero(impressions < query.params.exploration_impressions)
        chance = query.rng.random(len(unknown))  # among equals, so that not everybody is shown the same one
        waiting = rows[unknown[np.lexsort((chance, impressions[unknown]))[:quota]]]
        tier = np.searchsorted(query.params.exploration_edges, impressions, side="right") - 1  # -1 for those that wait
        earned = np.flatnonzero((tier >= 0) & (rates >= np.array([*_bars(pool, query.params), np.inf])[tier]))
        promoted = rows[earned[np.argsort(-rates[earned], kind="stable")[:quota]]]
        return Proposal(interleaved([rows[:quota], waiting, promoted])[:quota])

    def bars(self, params: FeedParams) -> tuple[float, ...]:
        """For each traffic pool the long view rate that a new video has to reach to enter it: a quantile of those that have had as much before."""
        return _bars(self._pool, params)


def _bars(pool: _Pool, params: FeedParams) -> tuple[float, ...]:
    peers = [pool.rates[pool.outcomes >= edge] for edge in params.exploration_edges[:-1]]
    return tuple(float(np.quantile(rates, params.exploration_promotion)) if len(rates) else 0.0 for rates in peers)

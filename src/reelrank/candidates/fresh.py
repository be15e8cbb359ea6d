"""Fresh: videos uploaded lately, the newest and those that the fewest people have had on their screen."""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reelrank.candidates.rows import interleaved, unseen
from reelrank.domain.arrays import Rows
from reelrank.domain.clock import Clock
from reelrank.domain.user import no_rows
from reelrank.features.columns import VideoColumns
from reelrank.features.reader import FeatureReader
from reelrank.features.windows import Counter, totals
from reelrank.pipeline.stages import Proposal, Query

_POOL = 2_000  # newest videos that are looked at
_FRESH_FOR_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class _Pool:
    count: int  # videos in the catalogue when it was made
    rows: Rows  # (n,) newest first
    impressions: NDArray[np.int64]  # (n,)


class FreshSource:
    """Half of what it proposes is the newest; the other half lacks its first impressions, in another order for each query."""

    name = "fresh"

    def __init__(self, columns: VideoColumns, reader: FeatureReader, clock: Clock) -> None:
        self._columns = columns
        self._reader = reader
        self._clock = clock
        self._lock = threading.Lock()
        self._pool = _Pool(0, no_rows(), no_rows())
        self.refresh()

    def refresh(self) -> None:
        """Looks for new videos, and at how often the ones known were shown; a pass over all videos, so not for a request."""
        with self._lock:
            count = self._columns.count
            rows = self._newest_of(np.flatnonzero(self._is_fresh(slice(0, count))))
            self._pool = _Pool(count, rows, totals(self._reader.video_counters(rows))[:, Counter.IMPRESSIONS])

    def _take_in(self) -> None:
        """Adds what was published since: nobody has seen it yet."""
        with self._lock:
            pool, count = self._pool, self._columns.count
            new = pool.count + np.flatnonzero(self._is_fresh(slice(pool.count, count)))
            rows = self._newest_of(np.concatenate([pool.rows, new]))
            by_row = np.argsort(pool.rows)
            old = rows < pool.count
            impressions = np.zeros(len(rows), dtype=np.int64)
            impressions[old] = pool.impressions[by_row[np.searchsorted(pool.rows, rows[old], sorter=by_row)]]
            self._pool = _Pool(count, rows, impressions)

    def _is_fresh(self, rows: slice) -> NDArray[np.bool_]:
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
        rows, impressions = pool.rows[kept], pool.impressions[kept]
        unknown = np.flatnonzero(impressions < query.params.exploration_impressions)
        chance = query.rng.random(len(unknown))  # among equals, so that not everybody is shown the same one
        waiting = rows[unknown[np.lexsort((chance, impressions[unknown]))[:quota]]]
        return Proposal(interleaved([rows[:quota], waiting])[:quota])

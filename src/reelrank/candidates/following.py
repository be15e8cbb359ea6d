"""Following: the latest videos of the authors that the user follows."""

import threading
from dataclasses import dataclass

import numpy as np

from reelrank.candidates.rows import unseen
from reelrank.domain.arrays import Rows, among
from reelrank.domain.user import no_rows
from reelrank.features.columns import VideoColumns
from reelrank.pipeline.stages import Proposal, Query

_PER_AUTHOR = 30  # latest videos of one author that are looked at
_NEWER, _NEWER_SHARE = 1_000, 100  # so many, or one in so many of all videos, are looked through one by one before all are sorted again


@dataclass(frozen=True, slots=True)
class _ByAuthor:
    """Rows below `sorted_until` in order of (author, uploaded_at), then those that came since, in order of row."""

    indptr: Rows  # (authors + 1,)
    rows: Rows
    sorted_until: int
    newer: Rows


class FollowingSource:
    """Keeps an index from author to videos that follows the columns."""

    name = "following"

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns
        self._lock = threading.Lock()
        self._index = _sorted_index(columns, 0)
        self.refresh()

    def refresh(self) -> None:
        """Takes in the videos published since the last time; sorts anew only when they have become many."""
        with self._lock:
            index, count = self._index, self._columns.count
            if count - index.sorted_until > max(_NEWER, index.sorted_until // _NEWER_SHARE):
                self._index = _sorted_index(self._columns, count)
            elif count > index.sorted_until + len(index.newer):
                self._index = _ByAuthor(index.indptr, index.rows, index.sorted_until, np.arange(index.sorted_until, count))

    def propose(self, query: Query, quota: int) -> Proposal:
        followed = query.user.followed
        if len(followed) == 0:
            return Proposal(no_rows())
        index, columns = self._index, self._columns
        known = followed[followed < len(index.indptr) - 1]
        ends = index.indptr[known + 1]
        lists = [index.rows[start:end] for start, end in zip(np.maximum(index.indptr[known], ends - _PER_AUTHOR), ends, strict=True)]
        rows = np.concatenate([*lists, index.newer[among(columns.author_row[index.newer], followed)]])
        rows = rows[~columns.removed[rows]]
        rows = rows[unseen(rows, query.user.seen)]
        return Proposal(rows[np.lexsort((rows, -columns.uploaded_at[rows]))][:quota])


def _sorted_index(columns: VideoColumns, count: int) -> _ByAuthor:
    authors = columns.author_row[:count]
    rows = np.lexsort((columns.uploaded_at[:count], authors))
    return _ByAuthor(np.concatenate([no_rows(), [0], np.cumsum(np.bincount(authors))]).astype(np.int64), rows, count, no_rows())

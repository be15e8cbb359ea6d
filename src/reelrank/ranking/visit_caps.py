"""Caps: how often an author, a sound or a tag may come, in a slate and in a whole visit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows
from reelrank.domain.user import User
from reelrank.features.columns import VideoColumns
from reelrank.features.history import VISIT_GAP_S


class Caps:
    """Which of n candidates are not one too many of their author, sound or tags, while places are filled."""

    def __init__(self, columns: VideoColumns, rows: Rows, caps: Sequence[int], shown: Rows | None = None) -> None:
        """`caps` of an author, a sound and a tag; videos `shown` (m,) count already."""
        self._caps = caps
        self._keys = _keys(columns, rows)
        self._taken: list[dict[int, int]] = [{}, {}, {}]
        self.open: NDArray[np.bool_] = np.ones(len(rows), dtype=np.bool_)
        if shown is not None and len(shown):
            for keys, taken, cap, before in zip(self._keys, self._taken, caps, _keys(columns, shown), strict=True):
                found, counts = np.unique(before[before >= 0], return_counts=True)
                taken.update(zip(found.tolist(), counts.tolist(), strict=True))
                full = found[counts >= cap]
                if len(full):
                    self.open &= ~np.isin(keys, full).any(axis=1)

    def put(self, place: int) -> None:
        """The candidate at `place` has got one."""
        for keys, taken, cap in zip(self._keys, self._taken, self._caps, strict=True):
            for key in keys[place][keys[place] >= 0].tolist():
                taken[key] = taken.get(key, 0) + 1
                if taken[key] >= cap:
                    self.open &= ~(keys == key).any(axis=1)


def shown_this_visit(user: User, now: float) -> Rows:
    """The videos that were put into a slate for a user or watched by them in this visit, each once; half an hour without either ends a visit."""
    rows = np.concatenate([user.watches.video_rows, user.served_rows])
    at = np.concatenate([user.watches.occurred_at, user.served_at])
    known = np.flatnonzero(at <= now)  # a base history has no times
    by_time = known[np.argsort(at[known], kind="stable")]
    breaks = np.flatnonzero(np.diff(np.append(at[by_time], now)) >= VISIT_GAP_S)
    return np.unique(rows[by_time[breaks[-1] + 1 :] if len(breaks) else by_time])


def _keys(columns: VideoColumns, rows: Rows) -> tuple[Rows, Rows, Rows]:
    return columns.author_row[rows][:, None], columns.sound_row[rows][:, None], columns.tag_rows[rows]  # (n, 1), (n, 1), (n, T)

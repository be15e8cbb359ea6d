"""Filters: say which candidates are kept, and why the others are not."""

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows
from reelrank.domain.candidate import Candidates
from reelrank.features.columns import VideoColumns
from reelrank.pipeline.stages import Query, Verdict

_RECENT = 30  # watches in which repetition is counted
_SAME_S = 0.0005  # moments are stored in milliseconds


class SeenFilter:
    """Never the same video twice."""

    name = "seen"

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        seen = query.user.seen
        kept = np.fromiter((row not in seen for row in candidates.rows.tolist()), dtype=np.bool_, count=len(candidates))
        return Verdict(kept, "was on this user's screen before")


class ServedLatelyFilter:
    """Nothing that still waits further down on this user's screen; what waited when they liked something was thrown away for better."""

    name = "served_lately"

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        user = query.user
        since = max(query.now - query.params.served_again_after_s, user.signals.occurred_at.max(initial=0.0))
        lately = user.served_at > since
        if query.named:  # it may be a repeat: then what the first attempt served is its own
            lately &= np.abs(user.served_at - query.now) >= _SAME_S
        return Verdict(~np.isin(candidates.rows, user.served_rows[lately]), "was served to this user a moment ago")


class BlockedFilter:
    """Nothing that this user hid or reported, nothing by a blocked author."""

    name = "blocked"

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        hidden = np.isin(candidates.rows, query.user.hidden)
        blocked = np.isin(self._columns.author_row[candidates.rows], query.user.blocked)
        return Verdict(~(hidden | blocked), "hidden, reported or by a blocked author")


class RemovedFilter:
    """Nothing that was taken down, and nothing that this process does not know yet."""

    name = "removed"

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        known = candidates.rows < self._columns.count  # a model may be newer than these columns
        kept = known.copy()
        kept[known] = ~self._columns.removed[candidates.rows[known]]
        return Verdict(kept, "taken down")


class StaleFilter:
    """Nothing that was uploaded too long ago."""

    name = "stale"

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        age_s = query.now - self._columns.uploaded_at[candidates.rows]
        return Verdict(age_s <= query.params.stale_after_s, "uploaded too long ago")


class RepeatedFilter:
    """Nothing by an author, to a sound or under a tag that filled this user's last watches already."""

    name = "repeated"

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        recent, columns, params = query.user.watches.video_rows[-_RECENT:], self._columns, query.params
        author = _too_often(columns.author_row[recent], params.max_author_repeats, columns.author_row[candidates.rows])
        sound = _too_often(columns.sound_row[recent], params.max_sound_repeats, columns.sound_row[candidates.rows])
        tag = _too_often(columns.tag_rows[recent].ravel(), params.max_tag_repeats, columns.tag_rows[candidates.rows]).any(axis=1)
        return Verdict(~(author | sound | tag), f"the same author, sound or tag filled the last {_RECENT} watches")


def _too_often(recent: Rows, limit: int, wanted: Rows) -> NDArray[np.bool_]:
    """Which of `wanted` stand at least `limit` times in `recent`; -1 belongs to nobody."""
    keys, counts = np.unique(recent[recent >= 0], return_counts=True)
    return np.isin(wanted, keys[counts >= limit])

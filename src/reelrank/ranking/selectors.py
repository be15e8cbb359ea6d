"""The selector: best first, with caps on authors, sounds and tags, and some places kept for videos nobody knows yet."""

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.candidate import Candidates
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import COLUMN
from reelrank.pipeline.stages import Placement, Query


class CappedSelector:
    """Fills the slate greedily by score.

    With probability `params.exploration` a place goes to a video drawn evenly from those with fewer than
    `exploration_impressions` outcomes, otherwise to the best one left. No author, sound or tag takes more places
    than its cap; when nothing else is left the caps give way, because a full slate beats a tidy one.
    """

    name = "capped"

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns

    def select(self, query: Query, candidates: Candidates) -> Placement:
        assert candidates.score is not None, "candidates are scored before they are selected"
        slate = _Slate(self._columns, query, candidates)
        # ties are broken by the row: one state, one slate
        ranked = np.lexsort((candidates.rows, -candidates.score))
        unknown = self._unknown(query, candidates)
        while len(slate.places) < min(query.count, len(candidates)):
            best = slate.best_within_caps(ranked)
            pool = np.flatnonzero(unknown & slate.open) if query.params.exploration > 0 else np.empty(0, dtype=np.int64)
            share = query.params.exploration if len(pool) else 0.0
            if len(pool) and query.rng.random() < share:
                place, reason = int(query.rng.choice(pool)), "explored: few people have seen it yet"
            else:
                place, reason = best
            propensity = share / len(pool) * bool(unknown[place] and slate.open[place]) if len(pool) else 0.0
            slate.put(place, propensity + (1.0 - share) * (place == best[0]), reason)
        return slate.placement()

    def _unknown(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        assert candidates.features is not None
        return candidates.features[:, COLUMN["video_outcomes"]] < np.log1p(query.params.exploration_impressions)


class _Slate:
    """The slate so far, and which candidates may still join it."""

    def __init__(self, columns: VideoColumns, query: Query, candidates: Candidates) -> None:
        self._caps = (query.params.cap_author, query.params.cap_sound, query.params.cap_tag)
        rows = candidates.rows
        self._keys = (columns.author_row[rows][:, None], columns.sound_row[rows][:, None], columns.tag_rows[rows])  # (n, 1), (n, 1), (n, T)
        self._taken: tuple[dict[int, int], ...] = ({}, {}, {})
        self._left = np.ones(len(rows), dtype=np.bool_)
        self.open = np.ones(len(rows), dtype=np.bool_)  # left, and within all caps
        self.places: list[int] = []
        self._propensities: list[float] = []
        self._reasons: list[str] = []

    def best_within_caps(self, ranked: NDArray[np.int64]) -> tuple[int, str]:
        """The best candidate that is open; if none is, the best one left."""
        for mask, reason in ((self.open, "the best score left"), (self._left, "the best score left; caps gave way")):
            inside = np.flatnonzero(mask[ranked])
            if len(inside):
                skipped = int((self._left & ~self.open)[ranked[: inside[0]]].sum())
                return int(ranked[inside[0]]), reason if not skipped else f"{reason} within the caps ({skipped} better ones were one too many)"
        raise IndexError("no candidate is left")

    def put(self, place: int, propensity: float, reason: str) -> None:
        """Gives the next place of the slate to a candidate."""
        self.places.append(place)
        self._propensities.append(propensity)
        self._reasons.append(reason)
        self._left[place] = self.open[place] = False
        for keys, taken, cap in zip(self._keys, self._taken, self._caps, strict=True):
            for key in keys[place][keys[place] >= 0].tolist():
                taken[key] = taken.get(key, 0) + 1
                if taken[key] >= cap:
                    self.open &= ~(keys == key).any(axis=1)

    def placement(self) -> Placement:
        return Placement(np.array(self.places, dtype=np.int64), np.array(self._propensities), self._reasons)

"""The pinned selector: gives what business rules pin its place, and lets another selector fill the rest."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import among
from reelrank.domain.candidate import Candidates
from reelrank.features.rule_book import RuleBook
from reelrank.pipeline.stages import Placement, Query


class SelectsBeside(Protocol):
    """Chooses the rest of a slate that has videos in it already."""

    name: str

    def select(self, query: Query, candidates: Candidates, beside: Sequence[int] = ...) -> Placement:
        """`query.count` candidates besides those at the places `beside`, which count as chosen before."""
        ...


class PinnedSelector:
    """Around any selector. A pin that was seen, blocked or may not be shown is no candidate any more, and its place is filled as any other."""

    def __init__(self, inner: SelectsBeside, book: RuleBook) -> None:
        self.name = inner.name
        self._inner = inner
        self._book = book

    def pinned(self, query: Query, candidates: Candidates) -> NDArray[np.bool_]:
        """Which candidates are pinned: (n,)."""
        return among(candidates.rows, self._book.in_force(query.now, query.region).pinned)

    def select(self, query: Query, candidates: Candidates) -> Placement:
        pins = self._pins(query, candidates)
        if not pins:
            return self._inner.select(query, candidates)
        inner = self._inner.select(replace(query, count=query.count - len(pins)), candidates, [place for _, place, _ in pins])
        places, propensities, reasons = inner.places.tolist(), inner.propensities.tolist(), list(inner.reasons)
        taken = -1
        for position, place, reason in pins:  # from the top, so that those before keep their places; who comes second to one takes the next
            at = taken = min(max(position, taken + 1), len(places))
            places.insert(at, place)
            propensities.insert(at, 1.0)
            reasons.insert(at, reason)
        return Placement(np.array(places, dtype=np.int64), np.array(propensities), reasons)

    def _pins(self, query: Query, candidates: Candidates) -> list[tuple[int, int, str]]:
        """(position, place among the candidates, reason) of what is pinned into this slate, by position; of two for one position the older rule is first."""
        found: dict[int, tuple[int, int, str]] = {}
        for rule, row in self._book.in_force(query.now, query.region).pins:
            if rule.position < query.count:
                for place in np.flatnonzero(candidates.rows == row).tolist():
                    found.setdefault(place, (rule.position, place, f"pinned by rule {rule.rule_id}"))
        return sorted(found.values(), key=lambda pin: pin[0])[: query.count]

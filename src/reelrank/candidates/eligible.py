"""Eligible: which videos may be found at all, as one bit each: not the removed ones, and not those that have gone stale."""

from typing import NamedTuple

from reelrank.candidates.row_bits import Bits, bits_of
from reelrank.domain.clock import Clock
from reelrank.features.columns import VideoColumns
from reelrank.pipeline.stages import Query

_KEPT = 8  # sets of bits, one for each age at which some params let videos go stale


class _Made(NamedTuple):
    bits: Bits
    asked_at: float


class Eligible:
    """Follows the columns. Between two refreshes the bits stay: what was removed meanwhile may still be found, and the filters remove it."""

    def __init__(self, columns: VideoColumns, clock: Clock) -> None:
        self._columns = columns
        self._clock = clock
        self._by_age: dict[float, _Made] = {}

    def refresh(self) -> None:
        """Makes the bits anew that were asked for lately; a pass over all videos, so not for a request."""
        lately = sorted(self._by_age.items(), key=lambda item: -item[1].asked_at)[:_KEPT]
        self._by_age = {age_s: _Made(self._made(age_s), made.asked_at) for age_s, made in lately}

    def bits(self, query: Query) -> Bits:
        """One bit for each row, set where the query may find it. Rows that are newer have none, or one that is set."""
        age_s = query.params.stale_after_s
        made = self._by_age.get(age_s)
        bits = self._made(age_s) if made is None else made.bits
        self._by_age[age_s] = _Made(bits, query.now)
        return bits

    def _made(self, age_s: float) -> Bits:
        count = self._columns.count
        return bits_of(~self._columns.removed[:count] & (self._clock.now() - self._columns.uploaded_at[:count] <= age_s))

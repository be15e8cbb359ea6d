"""Similar content: videos that share author, sound and tags with the last ones that the user engaged with, whoever has watched them."""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reelrank.candidates.eligible import Eligible
from reelrank.candidates.row_bits import clear, flags_of
from reelrank.candidates.rows import seen_rows, strongest, summed
from reelrank.candidates.similar_users import engaged_with
from reelrank.domain.arrays import Column, Rows
from reelrank.domain.user import no_rows
from reelrank.domain.video import MAX_TAGS
from reelrank.features.columns import VideoColumns
from reelrank.features.spans import covered
from reelrank.pipeline.stages import Proposal, Query

_LAST = 8  # videos that the user engaged with
_DECAY = 0.85  # what each counts less than the one after it
_POSTINGS = 256  # newest videos of a code that are looked at: a code of more says little
_IN_ALL = 6_000  # postings that a request looks at, those of the rarest codes first
_WEIGHED = 4  # times the quota: so many are compared code by code
_KINDS = 3  # of codes: authors, sounds and tags, in turn
_REBUILT_AT = 1 / 16  # share of new postings at which all are sorted again


@dataclass(frozen=True, slots=True)
class _Lists:
    """The videos of each code, oldest first: those of code c are rows[start[c] : start[c + 1]]."""

    start: Rows
    rows: NDArray[np.int32]

    @classmethod
    def of(cls, codes: NDArray[np.int32], rows: NDArray[np.int32]) -> "_Lists":
        """From pairs in ascending order of rows."""
        order = np.argsort(codes, kind="stable")
        return cls(np.concatenate([[0], np.cumsum(np.bincount(codes))]), rows[order])

    def counts(self, codes: Rows) -> Rows:
        """How many videos each code has: (n,)."""
        begin, end = self._spans(codes)
        return end - begin

    def newest(self, codes: Rows, at_most: Rows) -> tuple[Rows, Rows]:
        """The newest `at_most` (n,) videos of each code, one code after the other, and how many these are: (p,), (n,)."""
        begin, end = self._spans(codes)
        places, sizes = covered(np.maximum(begin, end - at_most), end)
        return self.rows[places].astype(np.int64), sizes

    def _spans(self, codes: Rows) -> tuple[Rows, Rows]:
        last = len(self.start) - 1
        return self.start[np.minimum(codes, last)], self.start[np.minimum(codes + 1, last)]


@dataclass(frozen=True, slots=True)
class _Known:
    """All videos up to one: most of them sorted long ago, the others lately."""

    old: _Lists
    new: _Lists
    sorted_until: int
    count: int

    def rarity(self, codes: Rows) -> Column:
        """How much sharing a code says: the logarithm of how few have it (n,), 0 for -1."""
        there = np.maximum(codes, 0)
        return np.where(codes < 0, 0.0, np.log((self.count + 1) / (self.old.counts(there) + self.new.counts(there) + 1)))


class SimilarContentSource:
    """Proposes what is most like the last few videos of a user, by what their publishers say of them: no one has to have watched it."""

    name = "similar_content"

    def __init__(self, columns: VideoColumns, eligible: Eligible) -> None:
        self._columns = columns
        self._eligible = eligible
        self._lock = threading.Lock()
        nothing = _Lists(np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int32))
        self._known = _Known(nothing, nothing, 0, 0)
        self.refresh()

    def refresh(self) -> None:
        """Takes in what was published since the last time."""
        with self._lock:
            known, count = self._known, self._columns.count
            if count == known.count:
                return
            if count - known.sorted_until > known.sorted_until * _REBUILT_AT:
                self._known = _Known(_Lists.of(*self._postings(0, count)), _Lists.of(*self._postings(0, 0)), count, count)
            else:
                self._known = _Known(known.old, _Lists.of(*self._postings(known.sorted_until, count)), known.sorted_until, count)

    def propose(self, query: Query, quota: int) -> Proposal:
        last, _ = engaged_with(query.user, _LAST)
        if len(last) == 0 or quota == 0:
            return Proposal(no_rows())
        if self._columns.count != self._known.count:
            self.refresh()  # somebody has just published: the first request may show it
        known = self._known
        profile, weights = self._profile(known, last)
        rows, scores = _first_look(known, profile, weights)
        may = self._eligible.bits(query).copy()
        clear(may, seen_rows(query.user.seen))
        kept = np.flatnonzero(flags_of(may, rows))
        kept = kept[strongest(scores[kept], _WEIGHED * quota)]
        rows = np.sort(rows[kept])[::-1]  # of equals the newest first
        return Proposal(rows[strongest(self._likeness(known, profile, weights, rows), quota)])

    def _profile(self, known: _Known, last: Rows) -> tuple[Rows, Column]:
        """The codes of the last videos, ascending, and how much each of them counts."""
        codes = self._codes(last)
        weights = known.rarity(codes) * (_DECAY ** np.arange(len(last)))[:, None]
        given = codes >= 0
        return summed(codes[given], weights[given])

    def _likeness(self, known: _Known, profile: Rows, weights: Column, rows: Rows) -> Column:
        """The cosine of what is said of videos (n,) with the profile, where a code counts as much as it is rare: (n,), in units of the profile."""
        codes = self._codes(rows)
        places = np.minimum(np.searchsorted(profile, codes), len(profile) - 1)
        shared = np.where(profile[places] == codes, weights[places], 0.0).sum(axis=1)
        return shared / np.sqrt(np.maximum(known.rarity(codes).sum(axis=1), 1e-9))

    def _codes(self, rows: Rows) -> Rows:
        """The codes of videos (n, 2 + MAX_TAGS), -1 for none."""
        columns = self._columns
        named = np.column_stack([columns.author_row[rows], columns.sound_row[rows], columns.tag_rows[rows]])
        return np.where(named >= 0, named * _KINDS + _KIND, -1)

    def _postings(self, first: int, end: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The (code, row) pairs of the videos in [first, end), in order of their rows."""
        codes, rows = [np.empty(0, dtype=np.int32)], [np.empty(0, dtype=np.int32)]
        for start in range(first, end, _AT_A_TIME):
            some = np.arange(start, min(start + _AT_A_TIME, end))
            of_some = self._codes(some)
            at, which = np.nonzero(of_some >= 0)
            codes.append(of_some[at, which].astype(np.int32))
            rows.append(some[at].astype(np.int32))
        return np.concatenate(codes), np.concatenate(rows)


def _first_look(known: _Known, profile: Rows, weights: Column) -> tuple[Rows, Column]:
    """The newest videos of each code of a profile, each once, and the weights of the codes that it was found under: (n,) twice."""
    lately = np.minimum(known.new.counts(profile), _POSTINGS)
    before = np.minimum(known.old.counts(profile), _POSTINGS - lately)
    rarest_first = np.argsort(lately + before, kind="stable")
    affordable = max(1, int(np.searchsorted(np.cumsum((lately + before)[rarest_first]), _IN_ALL, side="right")))
    chosen = rarest_first[:affordable]
    new, of_new = known.new.newest(profile[chosen], lately[chosen])
    old, of_old = known.old.newest(profile[chosen], before[chosen])
    spoken = np.concatenate([np.repeat(weights[chosen], of_new), np.repeat(weights[chosen], of_old)])
    return summed(np.concatenate([new, old]), spoken)


_AT_A_TIME = 100_000  # videos: bounds what is needed beside the postings
_KIND = np.array([0, 1, *[2] * MAX_TAGS])

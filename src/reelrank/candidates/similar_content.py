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
_REBUILT_AT = 64  # when one in so many videos is new, all are sorted again


@dataclass(frozen=True, slots=True)
class _Lists:
    """The videos of each code, oldest first: those of code c are rows[start[c] : start[c + 1]]."""

    start: Rows
    rows: NDArray[np.int32]

    @classmethod
    def of(cls, pairs: Rows) -> "_Lists":
        """From (code, row) pairs, each as one number in the order of both; they are sorted in their place."""
        pairs.sort()
        return cls(np.concatenate([[0], np.cumsum(np.bincount(pairs >> _ROW_BITS))]), (pairs & _ROWS).astype(np.int32))

    def counts(self, codes: Rows) -> Rows:
        """How many videos each code has: (n,)."""
        return self.start.take(codes + 1, mode="clip") - self.start.take(codes, mode="clip")

    def newest(self, codes: Rows, at_most: Rows) -> tuple[Rows, Rows]:
        """The newest `at_most` (n,) videos of each code, one code after the other, and how many these are: (p,), (n,)."""
        begin, end = self.start.take(codes, mode="clip"), self.start.take(codes + 1, mode="clip")
        places, sizes = covered(np.maximum(begin, end - at_most), end)
        return self.rows.take(places).astype(np.int64), sizes


@dataclass(frozen=True, slots=True)
class _Known:
    """All videos up to one: most of them sorted long ago, the others lately."""

    old: _Lists
    new: _Lists
    sorted_until: int
    count: int

    def rarity(self, codes: Rows) -> Column:
        """How much sharing a code says: the logarithm of how few have it (n,)."""
        return np.log((self.count + 1) / (self.old.counts(codes) + self.new.counts(codes) + 1))


class SimilarContentSource:
    """Proposes what is most like the last few videos of a user, by what their publishers say of them: no one has to have watched it."""

    name = "similar_content"

    def __init__(self, columns: VideoColumns, eligible: Eligible) -> None:
        self._columns = columns
        self._eligible = eligible
        self._lock = threading.Lock()
        self._known = _Known(_Lists.of(no_rows()), _Lists.of(no_rows()), 0, 0)
        self.refresh()

    def refresh(self) -> None:
        """Takes in what was published since the last time, and sorts all anew when that has become much."""
        with self._lock:
            count, before = self._columns.count, self._known.sorted_until
            if count - before > before // _REBUILT_AT:
                self._known = _Known(_Lists.of(self._pairs(0, count)), _Lists.of(no_rows()), count, count)
        self._take_in()

    def _take_in(self) -> None:
        with self._lock:
            known, count = self._known, self._columns.count
            if count != known.count:
                self._known = _Known(known.old, _Lists.of(self._pairs(known.sorted_until, count)), known.sorted_until, count)

    def propose(self, query: Query, quota: int) -> Proposal:
        last, _ = engaged_with(query.user, _LAST)
        if len(last) == 0 or quota == 0:
            return Proposal(no_rows())
        if self._columns.count != self._known.count:
            self._take_in()  # somebody has just published: the first request may show it
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
        owner, codes = self._codes(last)
        return summed(codes, known.rarity(codes) * _DECAY**owner)

    def _likeness(self, known: _Known, profile: Rows, weights: Column, rows: Rows) -> Column:
        """The cosine of what is said of videos (n,) with the profile, where a code counts as much as it is rare: (n,), in units of the profile."""
        owner, codes = self._codes(rows)
        places = np.minimum(np.searchsorted(profile, codes), len(profile) - 1)
        shared = np.bincount(owner, weights=np.where(profile[places] == codes, weights[places], 0.0), minlength=len(rows))
        return shared / np.sqrt(np.maximum(np.bincount(owner, weights=known.rarity(codes), minlength=len(rows)), 1e-9))

    def _codes(self, rows: Rows) -> tuple[Rows, Rows]:
        """Which of the videos (n,) each of their codes belongs to, one video after the other, and the codes: (c,) twice."""
        columns = self._columns
        named = np.concatenate([columns.author_row[rows, None], columns.sound_row[rows, None], columns.tag_rows[rows]], axis=1)
        owner, kind = np.nonzero(named >= 0)
        return owner, named[owner, kind] * _KINDS + _KIND[kind]

    def _pairs(self, first: int, end: int) -> Rows:
        """The (code, row) pairs of the videos in [first, end), each as one number: (p,)."""
        columns, pairs = self._columns, [no_rows()]
        for kind, named in zip(_KIND, [columns.author_row, columns.sound_row, *columns.tag_rows.T], strict=True):
            at = first + np.flatnonzero(named[first:end] >= 0)
            pairs.append((named[at] * _KINDS + kind) << _ROW_BITS | at)
        return np.concatenate(pairs)


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


_KIND = np.array([0, 1, *[2] * MAX_TAGS])
_ROW_BITS = 31  # of a pair, and as many for the code
_ROWS = (1 << _ROW_BITS) - 1

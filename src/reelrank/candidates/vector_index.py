"""VectorIndex: the videos whose vectors have the largest inner products with a query; millions from a mapped file, the newest from memory."""

import threading

import numpy as np

from reelrank.candidates.frozen_vectors import FrozenVectors
from reelrank.candidates.row_bits import Bits, clear, every, flags_between
from reelrank.candidates.rows import strongest
from reelrank.domain.arrays import Floats, Rows
from reelrank.domain.user import no_rows

_ROOM = 1_024  # vectors that there is room for at first


class VectorIndex:
    """Vectors of the rows 0 … n - 1: those of a frozen part where there is one, and behind them those that were added since.

    What was added is compared as a whole. Safe to use from several threads: searches wait for nobody, and find each row once.
    """

    def __init__(self, width: int, frozen: FrozenVectors | None = None) -> None:
        if frozen is not None and frozen.width != width:
            raise ValueError(f"the frozen vectors have the width {frozen.width}, the others {width}; build the index again")
        self.width = width
        self.frozen = 0 if frozen is None else len(frozen)  # rows
        self._frozen = frozen
        self._all = every(self.frozen)
        self._live = np.empty((0, width), dtype=np.float32)  # a view of the part of `_room` that is filled; replaced whole
        self._room = np.empty((_ROOM, width), dtype=np.float32)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.frozen + len(self._live)

    @property
    def live(self) -> int:
        """How many rows lie in the memory of this process."""
        return len(self._live)

    def add(self, vectors: Floats) -> None:
        """Adds the vectors (n, width) of the next n rows."""
        if vectors.ndim != 2 or vectors.shape[1] != self.width:
            raise ValueError(f"vectors have the shape {vectors.shape}; an index of width {self.width} takes (n, {self.width})")
        with self._lock:
            before, after = len(self._live), len(self._live) + len(vectors)
            if after > len(self._room):
                room = np.empty((max(after, 2 * len(self._room)), self.width), dtype=np.float32)
                room[:before] = self._live
                self._room = room
            self._room[before:after] = vectors
            self._live = self._room[:after]  # only now: a search sees all of it or nothing

    def nearest(self, query: Floats, count: int, without: Rows, only: Bits | None = None, everywhere: bool = False) -> tuple[Rows, Floats]:
        """The `count` rows nearest to `query` (width,), nearest first, and their inner products: (k,) twice.

        Rows `without` are passed over, and so are those whose bit in `only` is not set; rows that `only` has no bit for
        are newer than it and may be found. With `everywhere` none of the nearest is missed, for many times the work.
        """
        live = self._live
        parts = [_of_live(live, query, count, without - self.frozen, _may_live(only, self.frozen, len(live)), self.frozen)]
        if self._frozen is not None and count:
            parts.insert(0, self._frozen.nearest(query, count, self._may(without, only), everywhere))
        if len(parts) == 1:
            return parts[0]
        rows, scores = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        best = strongest(scores, count)
        return rows[best], scores[best]

    def _may(self, without: Rows, only: Bits | None) -> Bits:
        """A bit for each frozen row that may be found."""
        may = self._all.copy()
        if only is not None:
            known = only[: len(may)]
            may[: len(known)] &= known
        clear(may, without)
        return may


def _of_live(live: Floats, query: Floats, count: int, without: Rows, may: np.ndarray, first: int) -> tuple[Rows, Floats]:
    """The same among the rows from `first` on, every one of which is compared."""
    if len(live) == 0 or count == 0:
        return no_rows(), np.empty(0, dtype=np.float32)
    scores = live @ query
    scores[: len(may)][~may] = -np.inf
    scores[without[(without >= 0) & (without < len(live))]] = -np.inf
    best = strongest(scores, count)
    best = best[scores[best] > -np.inf]
    return best + first, scores[best]


def _may_live(only: Bits | None, first: int, count: int) -> np.ndarray:
    return np.empty(0, dtype=np.bool_) if only is None else flags_between(only, first, first + count)

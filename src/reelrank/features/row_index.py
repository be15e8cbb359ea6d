"""Which row belongs to which id: an open-addressing hash index in NumPy, whole batches at a time."""

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows

Keys = NDArray[np.int64]

NO_KEY = int(np.iinfo(np.int64).min)  # nobody's id: what a free row holds, and what may stand where a batch is padded
UNSEEN = 0  # the row of every id that has none of its own

_FIBONACCI = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads dense ids and hashes alike (Knuth, TAOCP 3, 6.4)


class RowIndex:
    """Maps 64-bit ids to rows 1 … capacity - 1; row 0 is the answer for all others.

    A slot holds nothing but a row: whose it is stands once, in `keys`. So a slot takes 4 bytes, the index is at most
    half full, and the slots of a million ids fit into a processor's cache. Collisions go to the next free slot (linear
    probing); what is dropped leaves no tombstone, the run behind it is put again.
    """

    keys: Keys  # (capacity,) by row, NO_KEY where nobody lives
    slots: NDArray[np.int32]  # (a power of two, at least twice the capacity,) rows, 0 where free

    def __init__(self, keys: Keys, slots: NDArray[np.int32] | None = None) -> None:
        """Takes over `keys`, and the `slots` of an index of the same keys if there are any."""
        self.keys = keys
        if slots is None:
            self._rebuild()
        else:
            self.slots = slots

    @classmethod
    def empty(cls, capacity: int) -> "RowIndex":
        """An index of nobody."""
        return cls(np.full(capacity, NO_KEY, dtype=np.int64))

    @property
    def capacity(self) -> int:
        """How many rows there are, the one of the unseen among them."""
        return len(self.keys)

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.keys.nbytes + self.slots.nbytes

    def rows_of(self, keys: Keys) -> Rows:
        """The rows of `keys` (n,): (n,), 0 for those that have none."""
        slots = self._home(keys)
        rows = self.slots.take(slots)
        pending = np.flatnonzero((self.keys.take(rows) != keys) & (rows != UNSEEN))  # somebody else's slot: look at the next
        keys = keys[pending]
        slots = slots[pending]
        while len(pending):
            slots = self._next(slots)
            found = self.slots.take(slots)
            rows[pending] = found
            wrong = (self.keys.take(found) != keys) & (found != UNSEEN)
            pending, keys, slots = pending[wrong], keys[wrong], slots[wrong]
        return rows.astype(np.int64)

    def put(self, rows: Rows, keys: Keys) -> None:
        """Gives free `rows` (n,) to `keys` (n,), all different and none of them here yet."""
        self.keys[rows] = keys
        self._place(rows, keys)

    def drop(self, rows: Rows) -> None:
        """Takes `rows` (n,), all different, from whom they belong to."""
        slots = self._home(self.keys[rows])
        pending = np.flatnonzero(self.slots[slots] != rows)
        while len(pending):
            slots[pending] = self._next(slots[pending])
            pending = pending[self.slots[slots[pending]] != rows[pending]]
        self.slots[slots] = 0
        self.keys[rows] = NO_KEY
        moved = self._clear_behind(slots)
        self._place(moved, self.keys[moved])

    def grow(self, capacity: int) -> None:
        """Makes room for more rows; everybody keeps theirs."""
        grown = np.full(capacity, NO_KEY, dtype=np.int64)
        grown[: len(self.keys)] = self.keys
        self.keys = grown
        self._rebuild()

    def _home(self, keys: Keys) -> Rows:
        shift = np.uint64(64 - (len(self.slots) - 1).bit_length())
        return ((np.ascontiguousarray(keys).view(np.uint64) * _FIBONACCI) >> shift).view(np.int64)

    def _next(self, slots: Rows) -> Rows:
        return (slots + 1) & (len(self.slots) - 1)

    def _place(self, rows: Rows, keys: Keys) -> None:
        slots = self._home(keys)
        while len(rows):
            free = self.slots[slots] == 0
            self.slots[slots[free]] = rows[free]  # of those who want the same slot one gets it
            lost = self.slots[slots] != rows
            rows, slots = rows[lost], self._next(slots[lost])

    def _clear_behind(self, slots: Rows) -> Rows:
        """Empties the runs that follow freed slots; returns whose rows stood there: some stood only as far on because the freed ones were taken."""
        cleared: list[Rows] = []
        while len(slots):
            slots = self._next(slots)
            found = self.slots[slots]
            slots, found = slots[found != 0], found[found != 0]
            self.slots[slots] = 0
            cleared.append(found.astype(np.int64))
        return np.concatenate(cleared) if cleared else np.empty(0, dtype=np.int64)

    def _rebuild(self) -> None:
        self.slots = np.zeros(1 << (2 * len(self.keys) - 1).bit_length(), dtype=np.int32)
        live = np.flatnonzero(self.keys != NO_KEY)
        self._place(live, self.keys[live])

"""The reading half of an id table: mapped from a folder, kept equal by the rows that have changed."""

from pathlib import Path

import numpy as np

from reelrank.domain.arrays import Floats, Rows
from reelrank.features.row_index import NO_KEY, Keys, RowIndex


class TableReplica:
    """Looks ids up and applies what a learning table publishes.

    The pages of a folder are shared by all processes that map it; a page is copied when a row in it changes, so the part
    of a table that learns ends up in the memory of each. Rows are given to new owners only after they hold the owner's
    numbers, but a reader in another thread may have looked up a row before and take from it after: who reads while
    another thread applies holds a lock.
    """

    index: RowIndex
    weights: Floats  # (capacity, width)

    def __init__(self, index: RowIndex, weights: Floats) -> None:
        self.index = index
        self.weights = weights

    @classmethod
    def load(cls, folder: Path) -> "TableReplica":
        """Maps what `IdTable.save` wrote; takes milliseconds at any size, and no memory before it is read."""
        keys, slots, weights = (np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False).view(np.ndarray) for name in ("keys", "slots", "weights"))
        return cls(RowIndex(keys, slots), weights)

    def rows_of(self, keys: Keys) -> Rows:
        """The rows of `keys`, in their shape; 0 for those without one."""
        return self.index.rows_of(keys.reshape(-1)).reshape(keys.shape)

    def look_up(self, keys: Keys) -> Floats:
        """What stands in the rows of `keys` (...,): (..., width)."""
        return self.weights.take(self.rows_of(keys), axis=0)

    def apply(self, rows: Rows, keys: Keys, weights: Floats) -> None:
        """Makes `rows` (n,), all different, belong to `keys` (n,), NO_KEY for nobody, and hold `weights` (n, width).

        Applying the same once more changes nothing. Raises ValueError, and changes nothing, if an earlier change is
        missing: an id that comes to a row while another row is still its own here.
        """
        if weights.shape != (len(rows), self.weights.shape[1]):
            raise ValueError(
                f"weights of shape {weights.shape} for {len(rows)} rows of width {self.weights.shape[1]}; publisher and replica differ: load it anew"
            )
        needed = int(rows.max(initial=0)) + 1
        if needed > self.index.capacity:
            self._grow(1 << (needed - 1).bit_length())
        before = self.index.keys[rows]
        leaving = rows[(before != keys) & (before != NO_KEY)]
        coming = (before != keys) & (keys != NO_KEY)
        elsewhere = self.index.rows_of(keys[coming])
        lost = (elsewhere != 0) & ~np.isin(elsewhere, leaving)
        if lost.any():
            raise ValueError(f"id {keys[coming][lost][0]} has row {elsewhere[lost][0]} here and comes to another: a change was missed; load the table anew")
        self.index.drop(leaving)
        self.weights[rows] = weights
        self.index.put(rows[coming], keys[coming])

    def _grow(self, capacity: int) -> None:
        """Copies what was mapped: until the next folder is loaded this process has its own."""
        grown = np.zeros((capacity, self.weights.shape[1]), dtype=np.float32)
        grown[: len(self.weights)] = self.weights
        self.index.grow(capacity)
        self.weights = grown

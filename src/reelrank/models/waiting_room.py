"""How often ids were seen that have no row yet: counted exactly, in bounded memory, forgotten after a while."""

import numpy as np
from numpy.typing import NDArray

from reelrank.features.row_index import Keys, RowIndex

Counts = NDArray[np.int64]

_SMALLEST = 1024  # rows a generation begins with


class WaitingRoom:
    """Counts by two generations of which the older is dropped: a sighting is remembered for `remember_s` to twice that.

    When more than `most` / 2 different ids come within one generation, it ends early. So a flood of ids that come
    once can't take memory, but it can make those who wait begin anew.
    """

    def __init__(self, most: int, remember_s: float) -> None:
        self.most = most
        self.remember_s = remember_s
        self._period = 0  # the younger generation's, in multiples of `remember_s`
        self._young, self._old = _Generation(), _Generation()

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self._young.nbytes + self._old.nbytes

    def count(self, keys: Keys, times: Counts, now: float) -> Counts:
        """Notes that `keys` (n,), all different, were seen `times` (n,) more; returns how often each was seen lately (n,)."""
        period = int(now // self.remember_s)
        for _ in range(min(max(period - self._period, 0), 2)):
            self._turn()
        self._period = max(period, self._period)
        at_once = max(self.most // 2, 1)
        totals = np.empty(len(keys), dtype=np.int64)
        for start in range(0, len(keys), at_once):
            part = slice(start, start + at_once)
            if self._young.used + len(keys[part]) > at_once:
                self._turn()
            totals[part] = self._young.add(keys[part], times[part]) + self._old.counts_of(keys[part])
        return totals

    def forget(self, keys: Keys) -> None:
        """Lets `keys` (n,) begin anew: they have been admitted."""
        self._young.clear(keys)
        self._old.clear(keys)

    def arrays(self) -> dict[str, NDArray[np.int64]]:
        """Everything that `restored` needs."""
        generations = {"young": self._young, "old": self._old}
        by_name = {f"{name}_{part}": array for name, generation in generations.items() for part, array in generation.arrays().items()}
        return {"period": np.array([self._period], dtype=np.int64), **by_name}

    @classmethod
    def restored(cls, most: int, remember_s: float, arrays: dict[str, NDArray[np.int64]]) -> "WaitingRoom":
        """The room whose `arrays` these are."""
        room = cls(most, remember_s)
        room._period = int(arrays["period"][0])
        room._young.add(arrays["young_keys"], arrays["young_counts"])
        room._old.add(arrays["old_keys"], arrays["old_counts"])
        return room

    def _turn(self) -> None:
        self._young, self._old = _Generation(), self._young


class _Generation:
    """Ids in the order in which they came, and how often each did."""

    def __init__(self) -> None:
        self.index = RowIndex.empty(_SMALLEST)
        self.counts: Counts = np.zeros(_SMALLEST, dtype=np.int64)
        self.used = 0

    @property
    def nbytes(self) -> int:
        return self.index.nbytes + self.counts.nbytes

    def counts_of(self, keys: Keys) -> Counts:
        return self.counts[self.index.rows_of(keys)]  # row 0 has count 0

    def add(self, keys: Keys, times: Counts) -> Counts:
        rows = self.index.rows_of(keys)
        new = np.flatnonzero(rows == 0)
        rows[new] = np.arange(self.used + 1, self.used + 1 + len(new))
        self._reserve(self.used + 1 + len(new))
        self.index.put(rows[new], keys[new])
        self.used += len(new)
        self.counts[rows] += times
        return self.counts[rows]

    def clear(self, keys: Keys) -> None:
        self.counts[self.index.rows_of(keys)] = 0

    def arrays(self) -> dict[str, NDArray[np.int64]]:
        taken = slice(1, self.used + 1)
        return {"keys": self.index.keys[taken], "counts": self.counts[taken]}

    def _reserve(self, rows: int) -> None:
        if rows > self.index.capacity:
            capacity = 1 << (rows - 1).bit_length()
            self.index.grow(capacity)
            self.counts = np.concatenate([self.counts, np.zeros(capacity - len(self.counts), dtype=np.int64)])

"""Id tables without collisions: a row of numbers for each id that earns one, and nobody else's row for all others (after Monolith, Liu et al. 2022)."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Floats, Rows
from reelrank.features.row_index import NO_KEY, UNSEEN, Keys, RowIndex
from reelrank.models.waiting_room import WaitingRoom

_BY_ROW = ("weights", "squares", "touched_at", "changed")
_WAITING = ("period", "young_keys", "young_counts", "old_keys", "old_counts")
_ABOUT = "table.json"
_FORMAT = 1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_EVICTED_AT_ONCE = 64  # a full table lets 1/64 of its rows go at a time, so that looking for the coldest is rare


class IdTableConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who gets a row, for how long, and how many there are.

    A row of 32 numbers takes 128 bytes, 28 beside them and 16 to 24 in the index; an id that waits takes 24 to 64.
    While a table doubles it exists one and a half times.
    """

    width: int = 32  # numbers in a row
    admit_after: int = 2  # an id gets its row when it occurs for the so manyth time
    expire_after_s: float = 30 * 86400.0  # a row goes when its id was not seen for so long; sightings of who waits count at least as long
    first_rows: int = 1_024  # room at the beginning, the row of the unseen included; it doubles when it is full
    max_rows: int = 10_000_000  # room at the end: from there on the coldest rows make way
    max_waiting: int = 1_000_000  # ids that are counted before they have a row
    spread: float = 0.01  # a new row differs from the unseen one by up to this, in each number
    learn_unseen: bool = False  # whether the row of the unseen learns what they have in common; it stays zero otherwise
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.first_rows <= self.max_rows < 2**31:
            raise ValueError(f"an id table can't begin with {self.first_rows} rows and end with {self.max_rows}; it takes 2 <= first <= max < 2**31")
        if self.width < 1 or self.admit_after < 1 or self.max_waiting < 2 or not 0 < self.expire_after_s < float("inf"):
            raise ValueError(f"an id table needs width and admit_after >= 1, max_waiting >= 2 and a finite expire_after_s > 0; not {self}")


class Changes(NamedTuple):
    """What a replica must `apply` to be equal again."""

    rows: Rows  # (n,) ascending
    keys: Keys  # (n,) whose they are now; NO_KEY: nobody's
    weights: Floats  # (n, width)


class IdTable:
    """A table that learns. Row 0 stands for every id without a row of its own, and belongs to nobody.

    Time comes in with `admit` and `expire` as UTC seconds, and never runs backwards here. What a row holds when its id
    is admitted depends on the id and the seed alone, not on what came before it. One thread at a time.
    """

    index: RowIndex
    waiting: WaitingRoom
    weights: Floats  # (capacity, width)
    squares: Floats  # (capacity,) the optimizer's state: sums of mean squared gradients
    touched_at: NDArray[np.float64]  # (capacity,) when the id was last admitted or seen by `admit`
    changed: NDArray[np.int64]  # (capacity,) the edition of the last change
    handed_over: NDArray[np.int64]  # (capacity,) the edition in which the row last lost its owner; forgotten by `save`

    def __init__(self, config: IdTableConfig) -> None:
        self.config = config
        self.index = RowIndex.empty(config.first_rows)
        self.waiting = WaitingRoom(config.max_waiting, config.expire_after_s)
        self.weights = np.zeros((config.first_rows, config.width), dtype=np.float32)
        self.squares = np.zeros(config.first_rows, dtype=np.float32)
        self.touched_at = np.zeros(config.first_rows)
        self.changed = np.zeros(config.first_rows, dtype=np.int64)
        self.handed_over = np.zeros(config.first_rows, dtype=np.int64)
        self.edition = 0  # grows with every change: a mark for `changes_since`
        self.last_handover = 0  # the last edition in which a row lost its owner
        self._now = -np.inf
        self._used = 1  # rows from here on were never anybody's
        self._released: list[int] = []  # rows below that which are free again

    @classmethod
    def holding(cls, config: IdTableConfig, keys: Keys, weights: Floats, now: float) -> "IdTable":
        """A table whose rows were learned elsewhere, all seen at `now`.

        `keys` (rows,) say whose each row is, NO_KEY for nobody's and for row 0; `weights` (rows, width) what it holds.
        """
        table = cls(msgspec.structs.replace(config, first_rows=max(len(keys), 2), width=weights.shape[1]))
        rows = np.flatnonzero(keys != NO_KEY)
        table.index.put(rows, keys[rows])
        table.weights[: len(weights)] = weights
        table.touched_at[: len(keys)] = table._now = now
        table._used = max(len(keys), 1)
        table._released = (1 + np.flatnonzero(keys[1:] == NO_KEY)).tolist()
        return table

    def __len__(self) -> int:
        """How many ids have a row."""
        return self._used - 1 - len(self._released)

    @property
    def now(self) -> float:
        """The last moment that it was told of, UTC seconds; -inf before the first."""
        return self._now

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return sum(getattr(self, name).nbytes for name in (*_BY_ROW, "handed_over")) + self.index.nbytes + self.waiting.nbytes

    def rows_of(self, keys: Keys) -> Rows:
        """The rows of `keys`, in their shape; 0 for those without one."""
        return self.index.rows_of(keys.reshape(-1)).reshape(keys.shape)

    def look_up(self, keys: Keys) -> Floats:
        """What stands in the rows of `keys` (...,): (..., width)."""
        return self.weights.take(self.rows_of(keys), axis=0)

    def admit(self, keys: Keys, now: float) -> Rows:
        """The rows of `keys`, in their shape, after each occurrence was counted and those seen often enough have got one.

        The batch in which an id reaches `admit_after` is the first that it has a row for; NO_KEY never gets one. When
        `max_rows` is reached, the ids longest not seen lose theirs, but nobody who occurred at this very moment: what
        then still finds no place keeps row 0 and waits.
        """
        self._now = max(self._now, now)
        flat = keys.reshape(-1)
        rows = self.index.rows_of(flat)
        self.touched_at[rows] = self._now
        absent = np.flatnonzero((rows == UNSEEN) & (flat != NO_KEY))
        if len(absent):
            newcomers, times = np.unique(flat[absent], return_counts=True)
            often = self.waiting.count(newcomers, times, self._now) >= self.config.admit_after
            if often.any():
                self._settle(newcomers[often])
                rows[absent] = self.index.rows_of(flat[absent])
        return rows.reshape(keys.shape)

    def expire(self, now: float) -> int:
        """Frees the rows of ids not seen for more than `expire_after_s`; returns how many."""
        self._now = max(self._now, now)
        live = self.index.keys[: self._used] != NO_KEY
        gone = np.flatnonzero(live & (self.touched_at[: self._used] < self._now - self.config.expire_after_s))
        self._release(gone)
        return len(gone)

    def note_change(self, rows: Rows) -> None:
        """Marks `rows` (n,) as changed, for `changes_since`. Whoever writes weights says so here."""
        self.edition += 1
        self.changed[rows] = self.edition

    def changes_since(self, edition: int) -> Changes:
        """The rows that have changed after an `edition` of this table, 0 for all that ever did."""
        rows = np.flatnonzero(self.changed[: self._used] > edition)
        return Changes(rows, self.index.keys[rows], self.weights[rows])

    def save(self, folder: Path) -> None:
        """Writes ids, rows, the optimizer's state and who waits into a folder that exists. It is complete once `table.json` is there."""
        arrays = {name: getattr(self, name) for name in _BY_ROW}
        arrays |= {"keys": self.index.keys, "slots": self.index.slots, "released": np.array(self._released, dtype=np.int64)}
        arrays |= {f"waiting_{name}": array for name, array in self.waiting.arrays().items()}
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        now = None if np.isinf(self._now) else self._now
        about = _About(format=_FORMAT, config=self.config, edition=self.edition, now=now, used=self._used)
        (folder / _ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(about)))

    @classmethod
    def load(cls, folder: Path, config: IdTableConfig | None = None) -> "IdTable":
        """What `save` wrote; it goes on as if nothing had been. Another `config` takes effect from here, but neither width nor seed can change."""
        about = msgspec.json.decode((folder / _ABOUT).read_bytes(), type=_About)
        if about.format != _FORMAT:
            raise ValueError(f"{folder} holds an id table of format {about.format}, this release reads {_FORMAT}; train it again")
        config = config or about.config
        arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in (*_BY_ROW, "keys", "slots", "released")}
        waiting = {name: np.load(folder / f"waiting_{name}.npy", allow_pickle=False) for name in _WAITING}
        fixed = (config.width, config.seed)
        if fixed != (about.config.width, about.config.seed) or len(arrays["keys"]) > config.max_rows:
            raise ValueError(f"{folder} holds room for {len(arrays['keys'])} rows made with {about.config}; that can't become {config}: train it again")
        table = cls.__new__(cls)
        table.config = config
        table.index = RowIndex(arrays["keys"], arrays["slots"])
        table.waiting = WaitingRoom.restored(config.max_waiting, config.expire_after_s, waiting)
        for name in _BY_ROW:
            setattr(table, name, arrays[name])
        table.handed_over = np.zeros(len(arrays["keys"]), dtype=np.int64)
        table.edition, table.last_handover, table._used = about.edition, 0, about.used
        table._now = -np.inf if about.now is None else about.now
        table._released = arrays["released"].tolist()
        return table

    def _settle(self, keys: Keys) -> None:
        """Gives rows to `keys`, as far as there are any."""
        rows = self._free_rows(len(keys))
        keys = keys[: len(rows)]
        self.waiting.forget(keys)
        self.index.put(rows, keys)
        self.weights[rows] = self.weights[UNSEEN] + _fresh(keys, self.config)
        self.touched_at[rows] = self._now
        self.note_change(rows)

    def _free_rows(self, wanted: int) -> Rows:
        """So many rows to hand out, or fewer: from what was released, from what was never used, from what can be had by growing, from the coldest."""
        capacity, needed = self.index.capacity, self._used + wanted - len(self._released)
        if needed > capacity and capacity < self.config.max_rows:
            while capacity < needed:
                capacity *= 2
            self._grow(min(capacity, self.config.max_rows))
        if needed > self.index.capacity:
            self._evict(needed - self.index.capacity)
        again = self._released[max(len(self._released) - wanted, 0) :]
        del self._released[len(self._released) - len(again) :]
        fresh = np.arange(self._used, min(self._used + wanted - len(again), self.index.capacity))
        self._used += len(fresh)
        return np.concatenate([np.array(again, dtype=np.int64), fresh])

    def _grow(self, capacity: int) -> None:
        more = capacity - self.index.capacity
        self.index.grow(capacity)
        for name in (*_BY_ROW, "handed_over"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros((more, *array.shape[1:]), dtype=array.dtype)]))

    def _evict(self, lacking: int) -> None:
        """Frees at least as many rows as are lacking, the coldest, if there are so many that were not touched at this very moment."""
        cold = np.flatnonzero((self.index.keys != NO_KEY) & (self.touched_at < self._now))
        count = min(max(lacking, self.index.capacity // _EVICTED_AT_ONCE), len(cold))
        if count:
            coldest = np.argpartition(self.touched_at[cold], count - 1)[:count]
            self._release(np.sort(cold[coldest]))

    def _release(self, rows: Rows) -> None:
        if len(rows) == 0:
            return
        self.index.drop(rows)
        self.weights[rows] = 0
        self.squares[rows] = 0
        self.note_change(rows)
        self.handed_over[rows] = self.last_handover = self.edition
        self._released += rows.tolist()


class _About(msgspec.Struct, frozen=True, kw_only=True):
    """What `table.json` says."""

    format: int
    config: IdTableConfig
    edition: int
    now: float | None
    used: int


def _fresh(keys: Keys, config: IdTableConfig) -> Floats:
    """Uniform in ±spread, each number a hash of seed, id and column (SplitMix64, Steele et al. 2014): (n, width)."""
    with np.errstate(over="ignore"):
        start = _mixed(keys.view(np.uint64) ^ _mixed(np.array([config.seed], dtype=np.int64).view(np.uint64)))
        bits = _mixed(start[:, None] + _GOLDEN * np.arange(1, config.width + 1, dtype=np.uint64))  # (n, width)
    return ((bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - 1) * np.float32(config.spread)


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))

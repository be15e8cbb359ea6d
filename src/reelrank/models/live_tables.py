"""Live tables: the rows that a process serves with, which change under it while people watch, all rows of an update at once."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from reelrank.domain.arrays import Floats, Rows
from reelrank.features.row_index import NO_KEY, UNSEEN, Keys, RowIndex
from reelrank.models.id_tables import Changes


class LiveRows(Protocol):
    """Rows that are looked up by id and change."""

    weights: Floats  # (rows, width)

    def rows_of(self, ids: Keys) -> Rows:
        """The rows of `ids`, in their shape; UNSEEN for those that have none."""
        ...

    def look_up(self, ids: Keys) -> Floats:
        """What stands in the rows of `ids` (…): (…, width)."""
        ...

    def apply(self, changes: Changes) -> None:
        """Gives rows to their owners and numbers to the rows. Who had one of these rows, or gets another one, has the old one no more."""
        ...


class LiveTable:
    """Rows by dense id: ids are places in the catalogue, so whose row is where is an array, and a look-up is one `take`."""

    def __init__(self, places: Rows, weights: Floats) -> None:
        """`places` (ids,) the row of each id, UNSEEN for those without one; `weights` (rows, width). Both are taken over and written to."""
        self.places = places
        self.weights = weights
        self._keys = np.full(len(weights), NO_KEY, dtype=np.int64)  # (rows,) whose each row is
        known = np.flatnonzero(self.places != UNSEEN)
        self._keys[self.places[known]] = known

    def rows_of(self, ids: Keys) -> Rows:
        """The rows of `ids`, in their shape; UNSEEN for those that have none, are negative, or are newer than the table."""
        known = (ids >= 0) & (ids < len(self.places))
        return np.where(known, self.places.take(np.where(known, ids, 0)), UNSEEN) if len(self.places) else np.zeros(ids.shape, dtype=np.int64)

    def look_up(self, ids: Keys) -> Floats:
        """What stands in the rows of `ids` (…): (…, width)."""
        return self.weights.take(self.rows_of(ids), axis=0)

    def apply(self, changes: Changes) -> None:
        """Gives rows to their owners and numbers to the rows. Who had one of these rows, or gets another one, has the old one no more."""
        self._make_room(int(changes.rows.max(initial=0)) + 1, int(changes.keys.max(initial=-1)) + 1)
        before = self._keys[changes.rows]
        self.places[before[before != NO_KEY]] = UNSEEN
        owned = changes.keys != NO_KEY
        rows, keys = changes.rows[owned], changes.keys[owned]
        elsewhere = self.places[keys]
        self._keys[elsewhere[elsewhere != UNSEEN]] = NO_KEY
        self._keys[changes.rows] = changes.keys
        self.places[keys] = rows
        self.weights[changes.rows] = changes.weights

    def _make_room(self, rows: int, ids: int) -> None:
        if rows > len(self.weights):
            more = max(rows, 2 * len(self.weights)) - len(self.weights)
            self.weights = np.concatenate([self.weights, np.zeros((more, self.weights.shape[1]), dtype=np.float32)])
            self._keys = np.concatenate([self._keys, np.full(more, NO_KEY, dtype=np.int64)])
        if ids > len(self.places):
            more = max(ids, 2 * len(self.places)) - len(self.places)
            self.places = np.concatenate([self.places, np.full(more, UNSEEN, dtype=np.int64)])


class KeyedTable:
    """Rows by 64-bit key, for ids that are no places in the catalogue."""

    def __init__(self, keys: Keys, weights: Floats) -> None:
        """`keys` (rows,) whose each row is, NO_KEY for nobody's; `weights` (rows, width). Both are taken over and written to."""
        self.weights = weights
        self._index = RowIndex(keys)

    def rows_of(self, ids: Keys) -> Rows:
        """The rows of `ids`, in their shape; UNSEEN for those that have none."""
        return self._index.rows_of(ids.reshape(-1)).reshape(ids.shape)

    def look_up(self, ids: Keys) -> Floats:
        """What stands in the rows of `ids` (…): (…, width)."""
        return self.weights[self.rows_of(ids)]

    def apply(self, changes: Changes) -> None:
        """As `LiveTable.apply`."""
        rows, keys = changes.rows, changes.keys
        self._make_room(int(rows.max(initial=0)) + 1)
        before = self._index.keys[rows]
        self._index.drop(rows[(before != keys) & (before != NO_KEY)])
        coming = (before != keys) & (keys != NO_KEY)
        elsewhere = self._index.rows_of(keys[coming])  # rows whose end is told in another record
        self._index.drop(elsewhere[elsewhere != UNSEEN])
        self._index.put(rows[coming], keys[coming])
        self.weights[rows] = changes.weights

    def _make_room(self, rows: int) -> None:
        if rows > len(self.weights):
            more = max(rows, 2 * len(self.weights)) - len(self.weights)
            self.weights = np.concatenate([self.weights, np.zeros((more, self.weights.shape[1]), dtype=np.float32)])
            self._index.grow(len(self.weights))


class LiveTables:
    """Several tables. Whoever reads them inside `held` sees each update whole or not at all."""

    def __init__(self, tables: Mapping[str, LiveRows]) -> None:
        self._tables = dict(tables)
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[Mapping[str, LiveRows]]:
        """The tables, as long as the block lasts unchanged."""
        with self._lock:
            yield self._tables

    def apply(self, update: Mapping[str, Changes]) -> None:
        """Applies changes of some tables at once. Raises ValueError, and changes nothing, if one of them is not of this model."""
        with self._lock:
            for name, changes in update.items():
                if name not in self._tables or changes.weights.shape[1:] != self._tables[name].weights.shape[1:]:
                    raise ValueError(f"rows of {name!r} of shape {changes.weights.shape} are not of this model; it has: {', '.join(self._tables)}")
            for name, changes in update.items():
                self._tables[name].apply(changes)

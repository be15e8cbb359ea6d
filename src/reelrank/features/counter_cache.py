"""CounterCache: what the counters of this machine say now, each record worked out once for as long as that stays the same."""

import threading
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from reelrank.domain.arrays import Column, Rows
from reelrank.features.packing import unpack
from reelrank.features.row_index import NO_KEY, UNSEEN, RowIndex
from reelrank.features.standings import Parts, Standings, StandingTable, standings_of
from reelrank.storage.counter_store import CounterSnapshot, CounterStore, Keys, Kind

CAPACITY = 1 << 20  # records of 260 bytes: what some hundred thousand candidates share; memory is taken as they come
_KIND_SHIFT = 56  # names are a kind and a key


class Asked(NamedTuple):
    """Whose counters, and which parts of what they say."""

    keys: Keys  # (m,) -1 for nobody's
    parts: Parts = Parts()


class CounterCache:
    """Reads counters as standings. Bits are those of reading everything anew: what was counted since is looked up in the log of commits.

    Of more records than there is room for the oldest give way. Safe to use from several threads, one at a time.
    """

    def __init__(self, counters: CounterStore, capacity: int = CAPACITY) -> None:
        self._counters = counters
        self._lock = threading.Lock()
        self._table = StandingTable(capacity + 1)
        self._index = RowIndex.empty(capacity + 1)
        self._next = 0
        self._followed = -1  # commits up to this one are known of

    def read(self, asked: Mapping[Kind, Asked], now: float) -> tuple[dict[Kind, Standings], tuple[int, ...]]:
        """What the counters say at `now` (UTC seconds), all from one commit, and per partition how much of the log that stands for."""
        names = [np.where(wanted.keys >= 0, kind << _KIND_SHIFT | wanted.keys, NO_KEY) for kind, wanted in asked.items()]
        every = np.concatenate([np.empty(0, dtype=np.int64), *names])
        if len(every) > self._index.capacity // 2:  # too many to be kept while they are read
            return self.read_at(asked, {kind: np.full(len(wanted.keys), now) for kind, wanted in asked.items()})
        with self._lock, self._counters.snapshot() as snapshot:
            self._follow(snapshot)
            rows = self._rows_of(every)
            while len(missing := np.flatnonzero(~self._table.hold(rows, now) | ((rows == UNSEEN) & (every != NO_KEY)))):
                self._read(snapshot, np.unique(every[missing]), now)
                rows = self._rows_of(every)  # of those that were here some may have given way
            ends = np.cumsum([len(some) for some in names])[:-1]
            found = {kind: self._table.take(part, asked[kind].parts) for kind, part in zip(asked, np.split(rows, ends), strict=True)}
            return found, snapshot.origins

    def read_at(self, asked: Mapping[Kind, Asked], now: Mapping[Kind, Column]) -> tuple[dict[Kind, Standings], tuple[int, ...]]:
        """The same where each record is asked for at a moment of its own, `now[kind]` (m,): nothing is kept of that."""
        with self._counters.snapshot() as snapshot:
            found: dict[Kind, Standings] = {}
            for kind, wanted in asked.items():
                distinct, places = np.unique(wanted.keys, return_inverse=True)
                records = snapshot.read({kind: distinct[distinct >= 0]})[kind]
                state = unpack([*[b""] * int((distinct < 0).sum()), *records])
                found[kind] = standings_of(state[places], now[kind], wanted.parts)
            return found, snapshot.origins

    def _follow(self, snapshot: CounterSnapshot) -> None:
        """Forgets what was counted on since the last time; everything, where that is too much to say."""
        self._followed, touched = snapshot.touched(self._followed)
        if touched is None:
            self._table.forget(np.arange(self._index.capacity))
            return
        for kind, keys in touched.items():
            if len(keys):
                self._table.forget(self._rows_of(kind << _KIND_SHIFT | keys))

    def _rows_of(self, names: Keys) -> Rows:
        rows = self._index.rows_of(names)
        rows[names == NO_KEY] = UNSEEN
        return rows

    def _read(self, snapshot: CounterSnapshot, names: Keys, now: float) -> None:
        rows = self._rows_of(names)
        rows[rows == UNSEEN] = self._given(names[rows == UNSEEN])
        kinds = names >> _KIND_SHIFT
        records = [b""] * len(names)
        for kind in np.unique(kinds).tolist():
            places = np.flatnonzero(kinds == kind)
            for place, record in zip(places.tolist(), snapshot.read({Kind(kind): names[places] & ((1 << _KIND_SHIFT) - 1)})[Kind(kind)], strict=True):
                records[place] = record
        self._table.put(rows, unpack(records), now)

    def _given(self, names: Keys) -> Rows:
        """Rows for names that have none, of those that have had theirs the longest."""
        rows = 1 + (self._next + np.arange(len(names))) % (self._index.capacity - 1)
        self._next = (self._next + len(names)) % (self._index.capacity - 1)
        taken = rows[self._index.keys[rows] != NO_KEY]
        self._index.drop(taken)
        self._index.put(rows, names)
        return rows

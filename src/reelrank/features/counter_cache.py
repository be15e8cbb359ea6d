"""CounterCache: what the counters of this machine say now, each record worked out once for as long as that stays the same."""

import threading
from collections.abc import Iterator, Mapping

import numpy as np

from reelrank.domain.arrays import Column, Rows
from reelrank.features.packing import unpack
from reelrank.features.row_index import NO_KEY, UNSEEN, RowIndex
from reelrank.features.standings import Parts, Standings, StandingTable, numbers_for, standings_of
from reelrank.storage.counter_store import CounterSnapshot, CounterStore, Keys, Kind

CAPACITY = 1 << 20  # records of 260 bytes: what some hundred thousand candidates share; memory is taken as they come
_KIND_SHIFT = 56  # names are a kind and a key
_KEY = (1 << _KIND_SHIFT) - 1


class CounterCache:
    """Reads counters as standings. Bits are those of reading everything anew: what was counted since is looked up in the log of commits.

    Of more records than there is room for the oldest give way. Safe to use from several threads, one at a time.
    """

    def __init__(self, counters: CounterStore, parts: Mapping[Kind, Parts], capacity: int = CAPACITY) -> None:
        """`parts` says for each kind what anybody needs of it: nothing else is worked out."""
        self._counters = counters
        self._parts = parts
        self._lock = threading.Lock()
        self._table = StandingTable(capacity + 1)
        self._index = RowIndex.empty(capacity + 1)
        self._next = 0
        self._followed = -1  # commits up to this one are known of

    def read(self, asked: Mapping[Kind, Keys], now: float) -> tuple[dict[Kind, Standings], tuple[int, ...]]:
        """What the counters of some keys (m,), -1 for nobody's, say at `now` (UTC seconds), and per partition how much of the log that stands for.

        All is from one commit.
        """
        names = [np.where(keys >= 0, kind << _KIND_SHIFT | keys, NO_KEY) for kind, keys in asked.items()]
        every = np.concatenate([np.empty(0, dtype=np.int64), *names])
        if len(every) > self._index.capacity // 2:  # too many to be kept while they are read
            return self.read_at(asked, {kind: np.full(len(keys), now) for kind, keys in asked.items()})
        with self._lock, self._counters.snapshot() as snapshot:
            self._follow(snapshot)
            rows = self._rows_of(every)
            while len(missing := np.flatnonzero(~self._table.hold(rows, now) | ((rows == UNSEEN) & (every != NO_KEY)))):
                self._read(snapshot, np.unique(every[missing]), now)
                rows = self._rows_of(every)  # of those that were here some may have given way
            ends = np.cumsum([len(some) for some in names])[:-1]
            found = {kind: self._table.take(part, self._parts[kind]) for kind, part in zip(asked, np.split(rows, ends), strict=True)}
            return found, snapshot.origins

    def read_at(self, asked: Mapping[Kind, Keys], now: Mapping[Kind, Column]) -> tuple[dict[Kind, Standings], tuple[int, ...]]:
        """The same where each record is asked for at a moment of its own, `now[kind]` (m,): nothing is kept of that."""
        with self._counters.snapshot() as snapshot:
            found: dict[Kind, Standings] = {}
            for kind, keys in asked.items():
                distinct, places = np.unique(keys, return_inverse=True)
                records = snapshot.read({kind: distinct[distinct >= 0]})[kind]
                state = unpack([*[b""] * int((distinct < 0).sum()), *records], numbers_for(self._parts[kind]))
                found[kind] = standings_of(state[places], now[kind], self._parts[kind])
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
        """Works out what stands under some names, ascending, those together of which the same parts are needed.

        Where rows are given to names that have none, others of these names may lose theirs: they are left for the next time.
        """
        self._give(names[self._rows_of(names) == UNSEEN])
        rows = self._rows_of(names)
        names, rows = names[rows != UNSEEN], rows[rows != UNSEEN]
        alike: dict[Parts, tuple[list[Rows], list[bytes]]] = {}
        for kind, begin, end in _spans(names >> _KIND_SHIFT):
            places, records = alike.setdefault(self._parts[kind], ([], []))
            places.append(rows[begin:end])
            records += snapshot.read({kind: names[begin:end] & _KEY})[kind]
        for parts, (places, records) in alike.items():
            self._table.put(np.concatenate(places), unpack(records, numbers_for(parts)), now, parts)

    def _give(self, names: Keys) -> None:
        """Gives names that have none the rows of those that have had theirs the longest."""
        rows = 1 + (self._next + np.arange(len(names))) % (self._index.capacity - 1)
        self._next = (self._next + len(names)) % (self._index.capacity - 1)
        taken = rows[self._index.keys[rows] != NO_KEY]
        self._index.drop(taken)
        self._index.put(rows, names)


def _spans(kinds: Rows) -> Iterator[tuple[Kind, int, int]]:
    """Where each of `kinds` (n,), ascending, begins and ends."""
    each, begins = np.unique(kinds, return_index=True)
    return zip(map(Kind, each.tolist()), begins.tolist(), [*begins[1:].tolist(), len(kinds)], strict=True)

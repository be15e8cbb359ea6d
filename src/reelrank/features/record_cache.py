"""RecordCache: counters that were unpacked lately, found by their packed bytes."""

import threading
from collections.abc import Sequence

import numpy as np

from reelrank.features.packing import unpack
from reelrank.features.windows import WIDTH, Counters

CAPACITY = 16_384  # records of 1.7 kB; memory is taken as they come


class RecordCache:
    """Unpacks records, each only once as long as it stays the same. Equal bytes are equal counters, so nothing here can be out of date.

    The oldest give way. Safe to use from several threads.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._slots: dict[bytes, int] = {}
        self._held: list[bytes] = []  # by slot
        self._state = np.empty((capacity, WIDTH), dtype=np.int32)
        self._next = 0

    def unpacked(self, records: Sequence[bytes]) -> Counters:
        """What `unpack` gives: (n, WIDTH)."""
        with self._lock:
            find = self._slots.get
            slots = np.array([find(record, -1) for record in records], dtype=np.int64)
            state = self._state.take(slots, axis=0, mode="clip")
        missing = np.flatnonzero(slots < 0)
        if len(missing):
            wanted = [records[place] for place in missing.tolist()]
            fresh = unpack(wanted)
            state[missing] = fresh
            with self._lock:
                self._keep(wanted[-self._capacity :], fresh[-self._capacity :])
        return state

    def _keep(self, records: Sequence[bytes], state: Counters) -> None:
        new = {record: place for place, record in enumerate(records) if record not in self._slots}
        slots = [(self._next + place) % self._capacity for place in range(len(new))]
        for slot, record in zip(slots, new, strict=True):
            if slot < len(self._held):
                del self._slots[self._held[slot]]
                self._held[slot] = record
            else:
                self._held.append(record)
            self._slots[record] = slot
        self._state[slots] = state[list(new.values())]
        self._next = (self._next + len(new)) % self._capacity

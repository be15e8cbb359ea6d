"""Repeats: which records of a partition were in it before, within a window of offsets."""

import hashlib
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from reelrank.storage.online_store import FINGERPRINT_BYTES

NOTHING = bytes(FINGERPRINT_BYTES)  # the fingerprint of an offset without a readable record: never a repeat

Fingerprints = NDArray[np.uint64]


class Named(Protocol):
    """An event, or the part of one that is read here."""

    @property
    def key(self) -> str: ...

    @property
    def event_id(self) -> str: ...


def fingerprint(event: Named) -> bytes:
    """Tells an event from every other: two users may choose the same event id."""
    return hashlib.blake2b(f"{event.key}\0{event.event_id}".encode(), digest_size=FINGERPRINT_BYTES).digest()


class _Run(NamedTuple):
    """Some records by fingerprint, equal ones by offset."""

    fingerprints: Fingerprints
    offsets: NDArray[np.int64]


class RepeatWindow:
    """Knows the fingerprints of the last `window` offsets of a partition.

    A record is a repeat if one with the same fingerprint lies at most `window` offsets before it: a rule that does
    not depend on how records are cut into batches. Sorted runs are merged as they grow alike (a log-structured
    merge), so that a look-up is a handful of binary searches.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.offset = 0  # the next one to come
        self._runs: list[_Run] = []

    def load(self, first: int, folded_to: int, fingerprints: bytes) -> None:
        """Begins anew with what lies at the offsets [first, folded_to)."""
        known = np.frombuffer(fingerprints, dtype="<u8")
        if len(known) != folded_to - first:
            raise ValueError(f"{len(known)} fingerprints for the offsets {first} to {folded_to}")
        self._runs = [_sorted(known, first)] if len(known) else []
        self.offset = folded_to

    def first_time(self, offset: int, fingerprints: bytes) -> NDArray[np.bool_]:
        """Notes the records at the offsets from `offset` on and says which of them are no repeats."""
        batch = _sorted(np.frombuffer(fingerprints, dtype="<u8"), offset)
        repeated = np.zeros(len(batch.offsets), dtype=np.bool_)
        repeated[1:] = (batch.fingerprints[1:] == batch.fingerprints[:-1]) & (batch.offsets[1:] - batch.offsets[:-1] <= self.window)
        for run in self._runs:
            latest = np.searchsorted(run.fingerprints, batch.fingerprints, side="right") - 1  # of equal ones the last
            found = run.fingerprints[latest] == batch.fingerprints  # -1 wraps to the greatest, which is not equal then
            repeated |= found & (batch.offsets - run.offsets[latest] <= self.window)
        fresh = np.empty(len(repeated), dtype=np.bool_)
        fresh[batch.offsets - offset] = ~repeated
        self.offset = offset + len(fresh)
        self._keep(batch)
        return fresh

    def _keep(self, batch: _Run) -> None:
        runs = self._runs
        runs.append(batch)
        oldest = self.offset - self.window
        while len(runs) > 1 and len(runs[-2].offsets) < 2 * len(runs[-1].offsets):
            newer, older = runs.pop(), runs.pop()
            fingerprints, offsets = np.concatenate([older.fingerprints, newer.fingerprints]), np.concatenate([older.offsets, newer.offsets])
            inside = offsets >= oldest
            fingerprints, offsets = fingerprints[inside], offsets[inside]
            order = np.argsort(fingerprints, kind="stable")  # older ones come first: equal fingerprints stay in order of offset
            runs.append(_Run(fingerprints[order], offsets[order]))


def _sorted(fingerprints: Fingerprints, first: int) -> _Run:
    order = np.argsort(fingerprints, kind="stable")
    return _Run(fingerprints[order], first + order.astype(np.int64))

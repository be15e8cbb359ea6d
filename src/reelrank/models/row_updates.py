"""Row updates: rows of embedding tables on their way from who learns them to who serves with them, as bytes."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from reelrank.models.id_tables import Changes

ROWS_FROM = "rows_from"  # in an artifact's manifest: the offset of the log from which on there may be rows that were learned on top of it
MOST_ROWS = 4_096  # in one record: with 64 numbers a row, about a megabyte


class RowUpdate(NamedTuple):
    """What some rows hold now. It says the same however often it is applied; of several the last one holds."""

    base: str  # the version of the artifact whose tables these rows belong to
    sequence: int  # counts the updates of a base, from 1
    learned_until: float  # UTC seconds: when the newest outcome behind these rows was known
    tables: Mapping[str, Changes]

    @property
    def begins(self) -> bool:
        """Whether learning begins here with the artifact as it was published: whatever was learned on top of it before is no more."""
        return not self.tables


class _Rows(msgspec.Struct, frozen=True, array_like=True):
    width: int
    rows: bytes  # int32
    keys: bytes  # int64
    weights: bytes  # float32


class _Record(msgspec.Struct, frozen=True, array_like=True):
    base: str
    sequence: int
    learned_until: float
    tables: dict[str, _Rows]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


def encode_updates(update: RowUpdate) -> Iterator[bytes]:
    """Records of at most MOST_ROWS rows each, with sequence numbers from `update.sequence` on; one without rows if there are none."""
    sequence = update.sequence
    pending: dict[str, _Rows] = {}
    room = MOST_ROWS
    for name, changes in update.tables.items():
        at = 0
        while at < len(changes.rows):
            taken = min(room, len(changes.rows) - at)
            pending[name] = _packed(_cut(changes, slice(at, at + taken)))
            at, room = at + taken, room - taken
            if room == 0:
                yield _encode(_Record(update.base, sequence, update.learned_until, pending))
                sequence, pending, room = sequence + 1, {}, MOST_ROWS
    if pending or sequence == update.sequence:
        yield _encode(_Record(update.base, sequence, update.learned_until, pending))


def decode_update(record: bytes | memoryview) -> RowUpdate:
    """Reads one record. Raises msgspec.DecodeError or ValueError if it is none."""
    found = _decode(record)
    return RowUpdate(found.base, found.sequence, found.learned_until, {name: _unpacked(rows) for name, rows in found.tables.items()})


def _cut(changes: Changes, which: slice) -> Changes:
    return Changes(changes.rows[which], changes.keys[which], changes.weights[which])


def _packed(changes: Changes) -> _Rows:
    rows, keys, weights = (np.ascontiguousarray(part, dtype=kind) for part, kind in zip(changes, ("<i4", "<i8", "<f4"), strict=True))
    return _Rows(weights.shape[1], rows.tobytes(), keys.tobytes(), weights.tobytes())


def _unpacked(packed: _Rows) -> Changes:
    rows, keys = np.frombuffer(packed.rows, dtype="<i4").astype(np.int64), np.frombuffer(packed.keys, dtype="<i8")
    return Changes(rows, keys, np.frombuffer(packed.weights, dtype="<f4").reshape(len(rows), packed.width))

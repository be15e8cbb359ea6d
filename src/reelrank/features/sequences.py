"""A user's folded state as bytes: histories that keep the newest entries in whatever order they arrive.

Every entry begins with its moment, big-endian, so that comparing bytes compares (occurred_at, event_id):
merging is sorting, and the newest entries are the last ones.
"""

import struct
from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from reelrank.domain.user import Signal, Signals, User, Watches
from reelrank.features.windows import COUNTERS

KEEP_SIGNALS = 512  # likes, shares, comments and hides, of any age
KEEP_AUTHORS = 2_048  # follows and blocks
KEEP_SERVED = 128

_WATCH = struct.Struct(">HIIIHBB")  # ms (high, low), tie, video row, watched_ds, replays, flags
_SIGNAL = struct.Struct(">HIIIBB")  # ms (high, low), tie, target row, signal, on
_SERVED = struct.Struct(">HIII")  # ms (high, low), tie, video row
_MOMENT = np.dtype([("high", ">u2"), ("low", ">u4"), ("tie", ">u4"), ("row", ">u4")])
_WATCH_DTYPE = np.dtype([*_MOMENT.descr, ("watched_ds", ">u2"), ("replays", "u1"), ("flags", "u1")])
_SIGNAL_DTYPE = np.dtype([*_MOMENT.descr, ("signal", "u1"), ("on", "u1")])
_UNKNOWN_DS = 0xFFFF
_SKIPPED, _UNTIMED, _LONG = 1, 2, 4


class UserRecord(msgspec.Struct, frozen=True, array_like=True):
    """What the online store holds for one user."""

    watches: bytes = b""
    signals: bytes = b""
    authors: bytes = b""
    served: bytes = b""
    seen: bytes = b""
    counts: bytes = b""
    place: bytes = b""  # the moment it was named, then its name


encode_record = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.Decoder(UserRecord).decode
EMPTY = UserRecord()


def watch_entry(
    occurred_at: float,
    video_row: int,
    watched_s: float | None,
    replays: int,
    *,
    skipped: bool,
    long_view: bool,
    timed: bool = True,
    stalled_s: float = 0.0,
    rendition: int = 0,
) -> bytes:
    """One watch or skip. `tie` is 32 bits of the event's fingerprint; `watched_s` None where nobody measured it."""
    flags = skipped * _SKIPPED | (not timed) * _UNTIMED | long_view * _LONG
    watched_ds = _UNKNOWN_DS if watched_s is None else min(round(watched_s * 10), _UNKNOWN_DS - 1)
    return _WATCH.pack(*_split_ms(occurred_at), 0, video_row, watched_ds, min(replays, 255), flags)


def signal_entry(occurred_at: float, signal: Signal, target_row: int, on: bool) -> bytes:
    """One signal towards a video or an author, given (`on`) or taken back."""
    return _SIGNAL.pack(*_split_ms(occurred_at), 0, target_row, signal, on)


def served_entry(occurred_at: float, video_row: int) -> bytes:
    """One video of a slate."""
    return _SERVED.pack(*_split_ms(occurred_at), 0, video_row)


def place_entry(occurred_at: float, place: str) -> bytes:
    """Where a user was; the newest one counts."""
    return struct.pack(">HII", *_split_ms(occurred_at), 0) + place.encode()


def merge_newest(kept: bytes, new: Iterable[bytes], size: int, keep: int) -> bytes:
    """The newest `keep` of the entries in `kept` (packed, each of `size` bytes) and `new`, oldest first."""
    fresh = sorted(new)
    if not fresh:
        return kept
    if kept and fresh[0] < kept[-size:]:  # something came late
        fresh = sorted([kept[at : at + size] for at in range(0, len(kept), size)] + fresh)
        kept = b""
    return (kept + b"".join(fresh))[-keep * size :]


def merge_watches(kept: bytes, new: Iterable[bytes], keep: int) -> bytes:
    """The newest `keep` watches."""
    return merge_newest(kept, new, _WATCH.size, keep)


def merge_served(kept: bytes, new: Iterable[bytes]) -> bytes:
    """The videos served last."""
    return merge_newest(kept, new, _SERVED.size, KEEP_SERVED)


def merge_signals(kept: bytes, new: Iterable[bytes], keep: int) -> bytes:
    """The newest word on each (signal, target), of those the newest `keep`: like, unlike, like leaves one entry."""
    size = _SIGNAL.size
    latest: dict[bytes, bytes] = {kept[at + 10 : at + 15]: kept[at : at + size] for at in range(0, len(kept), size)}
    for entry in new:
        about = entry[10:15]  # target and signal
        if about not in latest or latest[about] < entry:
            latest[about] = entry
    return b"".join(sorted(latest.values())[-keep:])


def merge_seen(kept: bytes, rows: Iterable[int]) -> bytes:
    """The video rows in `kept` (a serialised roaring bitmap) and `rows`."""
    seen = BitMap.deserialize(kept) if kept else BitMap()
    seen.update(rows)
    return seen.serialize()


def decode_user(user_id: str, stored: bytes | None, offset: int = 0) -> User:
    """What the feed sees of a user; somebody new if nothing is stored."""
    if stored is None:
        return User(user_id, offset=offset)
    record = decode_record(stored)
    signals, authors = _standing(record.signals), _standing(record.authors)
    served = np.frombuffer(record.served, dtype=_MOMENT)
    return User(
        user_id,
        watches=_decode_watches(record.watches),
        signals=Signals(signals["row"].astype(np.int64), _seconds(signals), signals["signal"].astype(np.int64)),
        followed=authors["row"][authors["signal"] == Signal.FOLLOW].astype(np.int64),
        blocked=authors["row"][authors["signal"] == Signal.BLOCK].astype(np.int64),
        seen=BitMap.deserialize(record.seen) if record.seen else BitMap(),
        served_rows=served["row"].astype(np.int64),
        served_at=_seconds(served),
        counts=np.frombuffer(record.counts, dtype="<i8") if record.counts else np.zeros(COUNTERS, dtype=np.int64),
        place=record.place[10:].decode(),
        offset=offset,
    )


def _decode_watches(packed: bytes) -> Watches:
    entries = np.frombuffer(packed, dtype=_WATCH_DTYPE)
    flags = entries["flags"]
    watched_ds = entries["watched_ds"].astype(np.float64)
    return Watches(
        video_rows=entries["row"].astype(np.int64),
        occurred_at=np.where(flags & _UNTIMED, np.nan, _seconds(entries)),
        watched_s=np.where(watched_ds == _UNKNOWN_DS, np.nan, watched_ds / 10),
        replays=entries["replays"].astype(np.int64),
        skipped=(flags & _SKIPPED) > 0,
        long_view=(flags & _LONG) > 0,
        stalled_s=np.zeros(len(entries)),
        rendition=np.zeros(len(entries), dtype=np.int64),
    )


def _standing(packed: bytes) -> NDArray[np.void]:
    """The signals that were not taken back."""
    entries = np.frombuffer(packed, dtype=_SIGNAL_DTYPE)
    return entries[entries["on"] == 1]


def _seconds(entries: NDArray[np.void]) -> NDArray[np.float64]:
    return (entries["high"].astype(np.int64) * 2**32 + entries["low"]) / 1000


def _split_ms(occurred_at: float) -> tuple[int, int]:
    milliseconds = max(round(occurred_at * 1000), 0)  # what lies before 1970 has no place in the order
    return milliseconds >> 32, milliseconds & 0xFFFFFFFF

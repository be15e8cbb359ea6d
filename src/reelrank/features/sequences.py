"""A user's folded state as bytes: histories that keep the newest entries in whatever order they arrive.

Every entry begins with its moment, big-endian, so that comparing bytes compares moments: merging is sorting, and the
newest entries are the last ones. Equal moments fall back to the row and then to the rest of the entry, so that any two
entries that differ have one order; two that don't are the same whichever comes first.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from reelrank.domain.user import Signal, Signals, User, Watches, Wish
from reelrank.features.controls import StoredWish, decode_bounds, wished
from reelrank.features.histories import Layout, pack_entries, pack_words, unpack_entries, unpack_words
from reelrank.features.windows import COUNTERS, Counter

KEEP_LONG_VIEWS = 64  # of those that newer watches have pushed out
KEEP_SIGNALS = 512  # likes, shares, comments and hides, of any age
KEEP_AUTHORS = 2_048  # follows, and as many blocks
KEEP_SERVED = 64  # the last slates; of older ones most was on screen, which `seen` knows for ever

# Heights of the renditions that are told apart: a stored code is a place in here. Only ever append.
HEIGHTS = (0, 144, 240, 288, 360, 432, 480, 540, 576, 640, 720, 800, 848, 900, 960, 1_024, 1_080, 1_200, 1_280, 1_440, 1_600, 1_920, 2_160, 2_560, 3_840)

_WATCH = struct.Struct(">HIIHBBBB")  # ms (high, low), video row, watched_ds, replays and flags, rendition, stalled_ds, surface
_SIGNAL = struct.Struct(">HIIBB")  # ms (high, low), target row, signal, on
_SERVED = struct.Struct(">HII")  # ms (high, low), video row
_MOMENT = np.dtype([("high", ">u2"), ("low", ">u4"), ("row", ">u4")])
_WATCH_DTYPE = np.dtype([*_MOMENT.descr, ("watched_ds", ">u2"), ("replays_flags", "u1"), ("rendition", "u1"), ("stalled_ds", "u1"), ("surface", "u1")])
_SIGNAL_DTYPE = np.dtype([*_MOMENT.descr, ("signal", "u1"), ("on", "u1")])
_WATCHES = Layout(_WATCH.size, noisy=(4, 5, 8, 9, 11))  # low bytes of the moment, the row and watched_ds
_LONG_VIEWS = Layout(_WATCH.size, noisy=(4, 5, 8, 9, 11), plain_up_to=256)
_SIGNALS = Layout(_SIGNAL.size, noisy=(4, 5, 8, 9), plain_up_to=512)  # likes are rare enough to be packed early
_SERVINGS = Layout(_SERVED.size, noisy=(8, 9))  # a slate is of one moment
_UNKNOWN_DS = 0xFFFF
_SKIPPED, _UNTIMED, _LONG, _REPLAY = 1, 2, 4, 8  # replays count in steps of _REPLAY
_FLAGS_AT = 12  # the byte of an entry that holds these
_SIGNAL_AT = 10  # the byte of a signal's entry that says which it is
_MOST_REPLAYS = 31
_HEIGHTS = np.array(HEIGHTS, dtype=np.int64)


class UserRecord(msgspec.Struct, frozen=True, array_like=True):
    """What the online store holds for one user. Histories and the seen set are packed: `merge_…` reads and writes them."""

    watches: bytes = b""
    signals: bytes = b""
    authors: bytes = b""
    served: bytes = b""
    seen: bytes = b""
    counts: tuple[int, ...] = ()  # by windows.Counter
    place: bytes = b""  # the moment it was named, then its name
    long_views: bytes = b""
    base: tuple[int, int] = (0, 0)  # watches whose order alone is known, and how many of them were long
    wishes: tuple[StoredWish, ...] = ()
    bounds: bytes = b""  # of the newest profile
    reset_ms: int = 0  # what happened until then says nothing any more


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
    rendition: int = 0,
    stalled_s: float = 0.0,
    surface: int = 0,
) -> bytes:
    """One watch or skip. `watched_s` is None where nobody measured it; `rendition` is a height in pixels, kept as the next of HEIGHTS below.

    `surface` is a number of `VideoColumns.surfaces`. 0 is unknown, of both.
    """
    flags = skipped * _SKIPPED | (not timed) * _UNTIMED | long_view * _LONG | min(replays, _MOST_REPLAYS) * _REPLAY
    watched_ds = _UNKNOWN_DS if watched_s is None else min(round(watched_s * 10), _UNKNOWN_DS - 1)
    code = bisect_right(HEIGHTS, rendition) - 1 if rendition else 0
    stalled_ds = min(round(stalled_s * 10), 255) if stalled_s else 0
    return _WATCH.pack(*_split_ms(occurred_at), video_row, watched_ds, flags, code, stalled_ds, surface)


def signal_entry(occurred_at: float, signal: Signal, target_row: int, on: bool) -> bytes:
    """One signal towards a video or an author, given (`on`) or taken back."""
    return _SIGNAL.pack(*_split_ms(occurred_at), target_row, signal, on)


def served_entries(occurred_at: float, video_rows: Iterable[int]) -> list[bytes]:
    """The videos of a slate."""
    high, low = _split_ms(occurred_at)
    return [_SERVED.pack(high, low, row) for row in video_rows]


def place_entry(at_ms: int, place: str) -> bytes:
    """Where a user was at so many `milliseconds`; the newest one counts."""
    return at_ms.to_bytes(6, "big") + place.encode()


def milliseconds(occurred_at: float) -> int:
    """A moment as histories keep it."""
    return max(round(occurred_at * 1000), 0)  # what lies before 1970 has no place in the order


def merge_watches(kept: bytes, new: list[bytes], keep: int) -> tuple[bytes, list[bytes]]:
    """The newest `keep` watches, and those that they have pushed out, oldest first."""
    if not new:
        return kept, []
    merged = _in_order(unpack_entries(kept, _WATCHES), new, _WATCHES.size)
    cut = max(len(merged) - keep * _WATCHES.size, 0)
    return pack_entries(merged[cut:], _WATCHES), _entries(merged[:cut], _WATCHES.size)


def merge_long_views(kept: bytes, pushed_out: Iterable[bytes]) -> bytes:
    """The newest long views of all watches that were ever pushed out: those do not come back, so the order of arrival makes no difference."""
    new = [entry for entry in pushed_out if entry[_FLAGS_AT] & _LONG]
    return _merge_packed(kept, new, _LONG_VIEWS, KEEP_LONG_VIEWS)


def merge_served(kept: bytes, new: list[bytes]) -> bytes:
    """The videos served last."""
    return _merge_packed(kept, new, _SERVINGS, KEEP_SERVED)


def merge_signals(kept: bytes, new: Iterable[bytes], keep: int) -> bytes:
    """The newest word on each (signal, target), of those the newest `keep`: like, unlike, like leaves one entry."""
    return pack_entries(b"".join(sorted(_newest_words(kept, new))[-keep:]), _SIGNALS)


def merge_authors(kept: bytes, new: Iterable[bytes]) -> bytes:
    """The newest word on each author, follows and blocks apart: however many somebody follows, whom they blocked stays blocked."""
    words = sorted(_newest_words(kept, new))
    stay = (entry for signal in (Signal.FOLLOW, Signal.BLOCK) for entry in [word for word in words if word[_SIGNAL_AT] == signal][-KEEP_AUTHORS:])
    return pack_entries(b"".join(sorted(stay)), _SIGNALS)


def _newest_words(kept: bytes, new: Iterable[bytes]) -> Iterable[bytes]:
    size = _SIGNAL.size
    before = unpack_entries(kept, _SIGNALS)
    latest: dict[bytes, bytes] = {before[at + 6 : at + 11]: before[at : at + size] for at in range(0, len(before), size)}
    for entry in new:
        about = entry[6:11]  # target and signal
        if about not in latest or latest[about] < entry:
            latest[about] = entry
    return latest.values()


def merge_seen(kept: bytes, rows: Iterable[int]) -> bytes:
    """The video rows in `kept` (a packed roaring bitmap) and `rows`."""
    seen = _decode_seen(kept)
    before = len(seen)
    seen.update(rows)
    return pack_words(seen.serialize()) if len(seen) > before else kept


def merge_counts(kept: tuple[int, ...], added: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """`kept` with the (counter, amount) of `added` on top."""
    counts = [*kept, *(0 for _ in range(COUNTERS - len(kept)))]
    for counter, amount in added:
        counts[counter] += amount
    return tuple(counts)


def since(entries: Iterable[bytes], reset_ms: int) -> list[bytes]:
    """The entries from after a reset."""
    until = reset_ms.to_bytes(6, "big")
    return [entry for entry in entries if entry[:6] > until]


def reset(record: UserRecord, reset_ms: int) -> UserRecord:
    """A record without what happened until a reset: tastes and history begin anew; what was seen, followed, blocked and wished stays.

    The counts become those of what is left, which is nothing unless the reset came late. Of later events they are then as far
    as histories tell: completions, follows and what newer watches have pushed out leave no trace there. It is the one thing in
    a record that the order of arrival can change.
    """
    signals = _entries(unpack_entries(record.signals, _SIGNALS), _SIGNALS.size)
    watches = since(_entries(unpack_entries(record.watches, _WATCHES), _WATCHES.size), reset_ms)
    long_views = since(_entries(unpack_entries(record.long_views, _LONG_VIEWS), _LONG_VIEWS.size), reset_ms)
    left = b"".join(since(signals, reset_ms))
    return msgspec.structs.replace(
        record,
        watches=pack_entries(b"".join(watches), _WATCHES),
        long_views=pack_entries(b"".join(long_views), _LONG_VIEWS),
        signals=pack_entries(left, _SIGNALS),
        counts=_counted(b"".join(watches + long_views), left),
        base=(0, 0),
        reset_ms=reset_ms,
    )


def _counted(watches: bytes, signals: bytes) -> tuple[int, ...]:
    """What watches and signals count, as far as they tell."""
    if not watches and not signals:
        return ()
    watched, told = _decode_watches(watches), np.frombuffer(signals, dtype=_SIGNAL_DTYPE)
    counts = [0] * COUNTERS
    counts[Counter.IMPRESSIONS] = len(watched)
    counts[Counter.SKIPS] = int(watched.skipped.sum())
    counts[Counter.CLICKS] = len(watched) - counts[Counter.SKIPS]
    counts[Counter.LONG_VIEWS] = int(watched.long_view.sum())
    counts[Counter.REPLAYS] = int(watched.replays.sum())
    counts[Counter.WATCHED_DS] = round(np.nansum(watched.watched_s) * 10)
    counts[Counter.STALLED_DS] = round(watched.stalled_s.sum() * 10)
    for signal, counter in ((Signal.LIKE, Counter.LIKES), (Signal.SHARE, Counter.SHARES), (Signal.COMMENT, Counter.COMMENTS), (Signal.HIDE, Counter.HIDES)):
        counts[counter] = int(((told["signal"] == signal) & (told["on"] == 1)).sum())
    return tuple(counts)


def decode_user(user_id: str, stored: bytes | None, offset: int = 0) -> User:
    """What the feed sees of a user; somebody new if nothing is stored."""
    if stored is None:
        return User(user_id, offset=offset)
    record = decode_record(stored)
    signals, authors = _standing(record.signals), _standing(record.authors)
    served = np.frombuffer(unpack_entries(record.served, _SERVINGS), dtype=_MOMENT)
    counts = np.zeros(COUNTERS, dtype=np.int64)
    counts[: len(record.counts)] = record.counts
    return User(
        user_id,
        watches=_decode_watches(unpack_entries(record.watches, _WATCHES)),
        long_views=_decode_watches(unpack_entries(record.long_views, _LONG_VIEWS)),
        signals=Signals(signals["row"].astype(np.int64), _seconds(signals), signals["signal"].astype(np.int64)),
        followed=authors["row"][authors["signal"] == Signal.FOLLOW].astype(np.int64),
        blocked=authors["row"][authors["signal"] == Signal.BLOCK].astype(np.int64),
        seen=_decode_seen(record.seen),
        served_rows=served["row"].astype(np.int64),
        served_at=_seconds(served),
        counts=counts,
        base_watches=record.base[0],
        base_long_views=record.base[1],
        place=record.place[6:].decode(),
        blocked_words=tuple(wished(record.wishes, Wish.WORD)),
        blocked_sounds=tuple(wished(record.wishes, Wish.SOUND)),
        topics=wished(record.wishes, Wish.TOPIC),
        bounds=decode_bounds(record.bounds),
        reset_ms=record.reset_ms,
        offset=offset,
    )


def _merge_packed(kept: bytes, new: list[bytes], layout: Layout, keep: int) -> bytes:
    return pack_entries(_in_order(unpack_entries(kept, layout), new, layout.size)[-keep * layout.size :], layout) if new else kept


def _in_order(kept: bytes, new: Iterable[bytes], size: int) -> bytes:
    """The entries in `kept` (one after the other, each of `size` bytes) and `new`, oldest first."""
    fresh = sorted(new)
    if kept and fresh[0] < kept[-size:]:  # something came late
        return b"".join(sorted(_entries(kept, size) + fresh))
    return kept + b"".join(fresh)


def _entries(joined: bytes, size: int) -> list[bytes]:
    return [joined[at : at + size] for at in range(0, len(joined), size)]


def _decode_seen(packed: bytes) -> BitMap:
    return BitMap.deserialize(unpack_words(packed)) if packed else BitMap()


def _decode_watches(joined: bytes) -> Watches:
    entries = np.frombuffer(joined, dtype=_WATCH_DTYPE)
    flags = entries["replays_flags"]
    watched_ds = entries["watched_ds"].astype(np.float64)
    return Watches(
        video_rows=entries["row"].astype(np.int64),
        occurred_at=np.where(flags & _UNTIMED, np.nan, _seconds(entries)),
        watched_s=np.where(watched_ds == _UNKNOWN_DS, np.nan, watched_ds / 10),
        replays=(flags // _REPLAY).astype(np.int64),
        skipped=(flags & _SKIPPED) > 0,
        long_view=(flags & _LONG) > 0,
        stalled_s=entries["stalled_ds"] / 10,
        rendition=_HEIGHTS[entries["rendition"]],
        surface=entries["surface"].astype(np.int64),
    )


def _standing(packed: bytes) -> NDArray[np.void]:
    """The signals that were not taken back."""
    entries = np.frombuffer(unpack_entries(packed, _SIGNALS), dtype=_SIGNAL_DTYPE)
    return entries[entries["on"] == 1]


def _seconds(entries: NDArray[np.void]) -> NDArray[np.float64]:
    return (entries["high"].astype(np.int64) * 2**32 + entries["low"]) / 1000


def _split_ms(occurred_at: float) -> tuple[int, int]:
    at_ms = milliseconds(occurred_at)
    return at_ms >> 32, at_ms & 0xFFFFFFFF

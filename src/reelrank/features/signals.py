"""Signals: what events mean for videos, authors, tags, sounds, places and surfaces; the records of the second topic.

Events are kept by user, counters by video. A block re-keys a stretch of one partition: its entries (one per thing that
was counted), whom each counts for, and by how much. Each entry carries the offset that it comes from, so that whoever
reads a block again, or one that was cut elsewhere, can tell what is new.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from reelrank.features.columns import VideoColumns
from reelrank.features.windows import Counter
from reelrank.storage.counter_store import Kind

_FORMAT = 2  # what is counted, too: a block of another format is passed over, and told again when the users are folded anew
_KINDS = frozenset(map(int, Kind))

Ints = NDArray[np.int64]
Increments = Sequence[tuple[Counter, int]]


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """A block as the log holds it."""

    format: int
    origin_from: int
    origin_to: int
    origins: bytes  # <u4 per entry: offset - origin_from
    seconds: bytes  # <u4 per entry: event time, 0 for what belongs into no window
    target_entries: bytes  # <u4 per target: which entry
    target_kinds: bytes  # u1
    target_keys: bytes  # <i8
    amount_entries: bytes  # <u4 per increment: which entry
    amount_counters: bytes  # u1
    amounts: bytes  # <i4


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


class UnknownSignals(ValueError):
    """A record of the second topic that this release can't read."""


class Block(NamedTuple):
    """The signals of the offsets [origin_from, origin_to) of a partition: e entries, t targets, a increments."""

    origin_from: int
    origin_to: int
    origins: Ints  # (e,) the offset each entry comes from, ascending
    seconds: Ints  # (e,)
    target_entries: Ints  # (t,) ascending
    target_kinds: Ints  # (t,) of Kind
    target_keys: Ints  # (t,)
    amount_entries: Ints  # (a,) ascending
    amount_counters: Ints  # (a,) of Counter
    amounts: Ints  # (a,)

    def since(self, origin: int) -> "Block":
        """What comes from offsets at or above `origin`."""
        first = int(np.searchsorted(self.origins, origin))
        if first == 0:
            return self._replace(origin_from=max(self.origin_from, min(origin, self.origin_to)))
        targets, increments = np.searchsorted(self.target_entries, first), np.searchsorted(self.amount_entries, first)
        return Block(
            max(self.origin_from, min(origin, self.origin_to)),
            self.origin_to,
            self.origins[first:],
            self.seconds[first:],
            self.target_entries[targets:] - first,
            self.target_kinds[targets:],
            self.target_keys[targets:],
            self.amount_entries[increments:] - first,
            self.amount_counters[increments:],
            self.amounts[increments:],
        )

    def until(self, origin: int) -> "Block":
        """What comes from offsets below `origin`."""
        end = int(np.searchsorted(self.origins, origin))
        targets, increments = np.searchsorted(self.target_entries, end), np.searchsorted(self.amount_entries, end)
        return Block(
            self.origin_from,
            min(self.origin_to, max(origin, self.origin_from)),
            self.origins[:end],
            self.seconds[:end],
            self.target_entries[:targets],
            self.target_kinds[:targets],
            self.target_keys[:targets],
            self.amount_entries[:increments],
            self.amount_counters[:increments],
            self.amounts[:increments],
        )

    def split(self, entries: int) -> Iterator["Block"]:
        """The same in blocks of about so many entries: a record of the log must not grow without bound. What comes from one offset stays together."""
        rest = self
        while len(rest.origins) > entries and (cut := max(int(rest.origins[entries]), int(rest.origins[0]) + 1)) <= rest.origins[-1]:
            yield rest.until(cut)
            rest = rest.since(cut)
        yield rest


def encode_block(block: Block) -> bytes:
    """A block as a record of the log."""
    return _encode(
        _Stored(
            _FORMAT,
            block.origin_from,
            block.origin_to,
            (block.origins - block.origin_from).astype("<u4").tobytes(),
            block.seconds.astype("<u4").tobytes(),
            block.target_entries.astype("<u4").tobytes(),
            block.target_kinds.astype("u1").tobytes(),
            block.target_keys.astype("<i8").tobytes(),
            block.amount_entries.astype("<u4").tobytes(),
            block.amount_counters.astype("u1").tobytes(),
            block.amounts.astype("<i4").tobytes(),
        )
    )


def decode_block(record: bytes) -> Block:
    """Reads what `encode_block` wrote. Raises UnknownSignals."""
    try:
        stored = _decode(record)
    except msgspec.DecodeError as problem:
        raise UnknownSignals(f"a record of signals can't be read: {problem}") from problem
    if stored.format != _FORMAT:
        way_out = "bring it up to date" if stored.format > _FORMAT else "it comes again when the users are folded again"
        raise UnknownSignals(f"a record of signals has format {stored.format}; this release reads {_FORMAT}: {way_out}")
    if not _fits(stored):
        raise UnknownSignals("a record of signals contradicts itself; something else has written to this topic")
    return Block(
        stored.origin_from,
        stored.origin_to,
        stored.origin_from + _ints(stored.origins, "<u4"),
        _ints(stored.seconds, "<u4"),
        _ints(stored.target_entries, "<u4"),
        _ints(stored.target_kinds, "u1"),
        _ints(stored.target_keys, "<i8"),
        _ints(stored.amount_entries, "<u4"),
        _ints(stored.amount_counters, "u1"),
        _ints(stored.amounts, "<i4"),
    )


def _fits(stored: _Stored) -> bool:
    """Whether the columns of a block belong together: one that does not would stop the fold of all the others for good."""
    entries, targets, increments = len(stored.origins) // 4, len(stored.target_kinds), len(stored.amount_counters)
    return (
        0 <= stored.origin_from <= stored.origin_to
        and len(stored.origins) == len(stored.seconds) == 4 * entries
        and len(stored.target_entries) == 4 * targets
        and len(stored.target_keys) == 8 * targets
        and len(stored.amount_entries) == len(stored.amounts) == 4 * increments
        and frozenset(stored.target_kinds) <= _KINDS
        and max(stored.amount_counters, default=0) < len(Counter)
        and all(len(of) == 0 or int(_ints(of, "<u4").max()) < entries for of in (stored.target_entries, stored.amount_entries))
    )


class BlockBuilder:
    """Collects what a batch of events counts, in the order of their offsets."""

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns
        self._origins: list[int] = []
        self._seconds: list[int] = []
        self._videos: list[int] = []  # -1 where an entry is about an author only
        self._authors: list[int] = []  # -1 where the video says whose it is
        self._places: list[int] = []  # -1 unknown
        self._surfaces: list[int] = []  # 0 unknown
        self._amounts: list[int] = []  # entry, counter, amount; entry, counter, amount …

    def video(self, offset: int, occurred_at: float, video_row: int, place_row: int, increments: Increments, surface: int = 0) -> None:
        """Counts for a video and all that it stands for; `place_row` is where the user is, `surface` the number of where in the app, 0 for nowhere."""
        self._entry(offset, occurred_at, video_row, -1, place_row, surface, increments)

    def author(self, offset: int, occurred_at: float, author_row: int, increments: Increments) -> None:
        """Counts for an author alone."""
        self._entry(offset, occurred_at, -1, author_row, -1, 0, increments)

    def _entry(self, offset: int, occurred_at: float, video_row: int, author_row: int, place_row: int, surface: int, increments: Increments) -> None:
        entry = len(self._origins)
        self._origins.append(offset)
        self._seconds.append(max(int(occurred_at), 0))
        self._videos.append(video_row)
        self._authors.append(author_row)
        self._places.append(place_row)
        self._surfaces.append(surface)
        for counter, amount in increments:
            self._amounts += (entry, counter, amount)

    def block(self, origin_from: int, origin_to: int) -> Block:
        """Everything collected, as the block of these offsets."""
        entries, kinds, keys = self._targets()
        increments = np.array(self._amounts, dtype=np.int64).reshape(-1, 3)
        return Block(
            origin_from,
            origin_to,
            np.array(self._origins, dtype=np.int64),
            np.array(self._seconds, dtype=np.int64),
            entries,
            kinds,
            keys,
            increments[:, 0],
            increments[:, 1],
            increments[:, 2],
        )

    def _targets(self) -> tuple[Ints, Ints, Ints]:
        """Whom each entry counts for.

        That is its video, that one's author, sound and tags, the video at the user's place, everything, and the surface, alone
        and together with the video and its length.
        """
        rows, places, surfaces = (np.array(of, dtype=np.int64) for of in (self._videos, self._places, self._surfaces))
        if len(rows) == 0:
            return rows, rows, rows
        columns, about_video = self._columns, rows >= 0
        safe = np.where(about_video, rows, 0)
        tags = columns.tag_rows[safe]
        table = np.full((len(rows), _TAGS_AT + tags.shape[1]), -1, dtype=np.int64)
        table[:, 0] = rows
        table[:, 1] = np.where(about_video, columns.author_row[safe], self._authors)
        table[:, 2] = columns.sound_row[safe]
        table[:, 3] = np.where(places >= 0, places << 32 | rows, -1)
        table[:, 4] = 0
        table[:, 5] = np.where(surfaces > 0, surfaces, -1)
        table[:, 6] = np.where(surfaces > 0, surfaces << 32 | rows, -1)
        table[:, 7] = np.where(surfaces > 0, surfaces << 32 | columns.length_class[safe], -1)
        table[:, _TAGS_AT:] = tags
        table[~about_video, 2:] = -1
        entries, slots = np.nonzero(table >= 0)
        return entries, _SLOT_KINDS[np.minimum(slots, _TAGS_AT)], table[entries, slots]


_SLOT_KINDS = np.array(
    [Kind.VIDEO, Kind.AUTHOR, Kind.SOUND, Kind.PLACE_VIDEO, Kind.EVERYTHING, Kind.SURFACE, Kind.SURFACE_VIDEO, Kind.SURFACE_LENGTH, Kind.TAG], dtype=np.int64
)
_TAGS_AT = len(_SLOT_KINDS) - 1  # the last ones: a video has several


def _ints(packed: bytes, dtype: str) -> Ints:
    return np.frombuffer(packed, dtype=dtype).astype(np.int64)

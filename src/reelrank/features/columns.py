"""VideoColumns: the catalogue as arrays by dense video row, one per field, that all processes of a machine share."""

import hashlib
import math
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from reelrank.domain.eligibility import normal_language, normal_region
from reelrank.domain.event import Context
from reelrank.domain.video import MAX_TAGS, Video
from reelrank.domain.words import WORDS_WIDE, Signatures, signature, texts_of
from reelrank.storage.catalog import Catalog, CatalogRow
from reelrank.storage.event_log import StorageError
from reelrank.storage.shared_columns import Field, SharedColumns

MAX_PLACES = 10_000  # clients name places: what they make up must not fill the stores
MAX_SURFACES = 254  # clients name these, too; a watch keeps its surface in one byte

Ints = NDArray[np.int64]
Value = TypeVar("Value")

_FIELDS = (
    Field("author_row", "<i8"),
    Field("sound_row", "<i8"),
    Field("place_row", "<i8"),
    Field("tag_rows", "<i8", MAX_TAGS),
    Field("duration_s", "<f8"),
    Field("length_class", "<i8"),
    Field("uploaded_at", "<f8"),
    Field("height", "<i4"),
    Field("bitrate_kbps", "<i4"),
    Field("removed", "?"),
    Field("min_age", "u1"),
    Field("language_key", "<i8"),
    Field("region_key", "<i8"),
    Field("word_bits", "<u8", WORDS_WIDE),
)
_FORM = 2  # of the names below; authors have theirs by row since 2
# what a name is the name of; rows are big-endian, so that they are in order
_VIDEO, _ROW, _AUTHOR, _TAG, _SOUND, _AUTHORED, _TAGGED, _SOUNDING, _REGIONS = b"v", b"r", b"A", b"t", b"s", b"a", b"T", b"S", b"g"
_NUMBER = struct.Struct(">q")
_KEPT = 65_536  # names that a process remembers: rows are for good
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Video).decode


class VideoColumns:
    """Follows a catalogue, one array a field, by dense video row. `refresh` picks up what changed.

    A new video is there whole or not at all. Whoever reads while one is published again may find some of its fields changed and others not yet.

    The arrays lie in files in `folder` that all processes of the machine share: whoever is first writes what changed, for all of them.
    They have room beyond `count`; look only at rows below it.
    """

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        """Raises StorageError if `folder` holds the columns of another catalogue."""
        self._catalog = catalog
        self._folder = folder
        self._shared = SharedColumns(folder, _FIELDS, _FORM)
        self._last_place = self._last_surface = -1
        self.places: dict[str, int] = {}
        self.surfaces: dict[str, int] = {}  # surface -> its number, 1 to MAX_SURFACES; 0 stands for every other one
        self.rows = _Rows(self._shared, _VIDEO, lambda row: row < self.count)  # video id -> row
        self.authors = _Rows(self._shared, _AUTHORED)  # author id -> row
        self.videos = _ByRow(self._shared, _ROW, _decode)  # row -> Video
        self.author_ids = _ByRow(self._shared, _AUTHOR, bytes.decode)  # author row -> id
        self.tags = _ByRow(self._shared, _TAG, bytes.decode)  # tag row -> its name
        self.sounds = _ByRow(self._shared, _SOUND, bytes.decode)
        self.tag_named = _Rows(self._shared, _TAGGED)  # tag -> row
        self.sound_named = _Rows(self._shared, _SOUNDING)  # sound id -> row
        self.regions = _ByRow(self._shared, _REGIONS, _decode_regions)  # region key -> where alone a video may be shown, and where not
        self._check_catalog()
        self.refresh()
        self.name_surfaces((Context().surface,))  # a feed is mostly asked for there: no process must find out that it has a number only later

    @property
    def count(self) -> int:
        """How many videos there are; their rows are the ones below."""
        return self._shared.head.filled

    @property
    def revision(self) -> int:
        """Of the catalogue: how far these have followed it."""
        return self._shared.head.revision

    @property
    def author_row(self) -> Ints:
        """(room,)"""
        return self._shared.views["author_row"]

    @property
    def sound_row(self) -> Ints:
        """(room,) -1 without a sound"""
        return self._shared.views["sound_row"]

    @property
    def place_row(self) -> Ints:
        """(room,) -1 without a place"""
        return self._shared.views["place_row"]

    @property
    def tag_rows(self) -> Ints:
        """(room, MAX_TAGS) -1 where a video has fewer"""
        return self._shared.views["tag_rows"]

    @property
    def duration_s(self) -> NDArray[np.float64]:
        """(room,)"""
        return self._shared.views["duration_s"]

    @property
    def length_class(self) -> Ints:
        """(room,) the same for videos of about the same duration"""
        return self._shared.views["length_class"]

    @property
    def uploaded_at(self) -> NDArray[np.float64]:
        """(room,) UTC seconds"""
        return self._shared.views["uploaded_at"]

    @property
    def height(self) -> NDArray[np.int32]:
        """(room,) of the best rendition in pixels, 0 without files"""
        return self._shared.views["height"]

    @property
    def bitrate_kbps(self) -> NDArray[np.int32]:
        """(room,) of the same"""
        return self._shared.views["bitrate_kbps"]

    @property
    def removed(self) -> NDArray[np.bool_]:
        """(room,)"""
        return self._shared.views["removed"]

    @property
    def min_age(self) -> NDArray[np.uint8]:
        """(room,) years that whoever sees it must have"""
        return self._shared.views["min_age"]

    @property
    def language_key(self) -> Ints:
        """(room,) as `language_key` gives it, 0 without a language"""
        return self._shared.views["language_key"]

    @property
    def region_key(self) -> Ints:
        """(room,) which of `regions` holds, 0 for what may be shown everywhere"""
        return self._shared.views["region_key"]

    @property
    def word_bits(self) -> Signatures:
        """(room, WORDS_WIDE) of caption and tags"""
        return self._shared.views["word_bits"]

    def refresh(self) -> int:
        """Reads what changed in the catalogue since anybody on this machine did; returns how many videos did."""
        changed = 0
        with self._shared.writing():
            for row, place in self._catalog.names("place", after=self._last_place):  # other processes name places too
                self.places[place] = self._last_place = row
            for row, surface in self._catalog.names("surface", after=self._last_surface):
                self._last_surface = row
                self._number_surfaces({surface: row})
            while rows := self._catalog.changes(self._shared.head.revision):
                self._write(rows)
                changed += len(rows)
            self._shared.fill()  # only now: a row's last change may come after those of later rows
        return changed

    def row_of(self, video_id: str) -> int | None:
        """The dense row of a video, None if the catalogue has none."""
        return self.rows.get(video_id)

    def close(self) -> None:
        self._shared.close()

    def name_places(self, places: Iterable[str]) -> None:
        """Gives new places their rows in the catalogue, all at once, as long as there are fewer than `MAX_PLACES`."""
        new = sorted({place for place in places if place not in self.places})[: max(0, MAX_PLACES - len(self.places))]  # several processes name them at once
        if new:
            self.places |= self._catalog.name_rows("place", new)

    def name_surfaces(self, surfaces: Iterable[str]) -> None:
        """Gives new surfaces their numbers, all at once, as long as there are fewer than `MAX_SURFACES`. "" has none."""
        new = sorted({surface for surface in surfaces if surface and surface not in self.surfaces})[: MAX_SURFACES - len(self.surfaces)]
        if new:
            self._number_surfaces(self._catalog.name_rows("surface", new))

    def rows_of(self, video_ids: Sequence[str]) -> Ints:
        """The dense rows of videos that are known to exist."""
        return np.fromiter((self.rows[video_id] for video_id in video_ids), dtype=np.int64, count=len(video_ids))

    def _number_surfaces(self, rows: Mapping[str, int]) -> None:
        self.surfaces |= {surface: row + 1 for surface, row in rows.items() if row < MAX_SURFACES}  # two processes may have named more at once

    def _write(self, changes: Sequence[CatalogRow]) -> None:
        """Fills the rows of some changes, oldest first."""
        latest = {change.row: change for change in changes}
        rows, videos = list(latest.values()), [change.video for change in latest.values()]
        tags = np.full((len(rows), MAX_TAGS), -1, dtype=np.int64)
        for place, change in enumerate(rows):
            tags[place, : len(change.tag_rows)] = change.tag_rows
        best = [(0, 0) if (found := video.rendition_for(None)) is None else (found.height, found.bitrate_kbps) for video in videos]
        values = {
            "author_row": np.array([change.author_row for change in rows]),
            "sound_row": np.array([change.sound_row for change in rows]),
            "place_row": np.array([change.place_row for change in rows]),
            "tag_rows": tags,
            "duration_s": np.array([video.duration_s for video in videos]),
            "length_class": np.array([length_class(video.duration_s) for video in videos]),
            "uploaded_at": np.array([video.uploaded_at for video in videos]),
            "height": np.array([height for height, _ in best]),
            "bitrate_kbps": np.array([bitrate_kbps for _, bitrate_kbps in best]),
            "removed": np.array([change.removed for change in rows]),
            "min_age": np.array([video.min_age for video in videos]),
            "language_key": np.array([language_key(video.language) for video in videos]),
            "region_key": np.array([_region_key(video) for video in videos]),
            "word_bits": np.array([signature(texts_of(video)) for video in videos], dtype=np.uint64),
        }
        self._shared.write(np.array(list(latest), dtype=np.int64), values, _names_of(rows), changes[-1].revision)

    def _check_catalog(self) -> None:
        """Rows are given out by a catalogue: those of another one would pass for its videos."""
        if self.count:
            newest = self.videos[self.count - 1]
            known = self._catalog.get(newest.video_id)
            if known is None or known.row != self.count - 1:
                self._shared.close()
                raise StorageError(
                    f"the columns at {self._folder} are of another catalogue, in which video {self.count - 1} is {newest.video_id!r}; "
                    "remove that folder: they are made again from this one"
                )


def _names_of(rows: Sequence[CatalogRow]) -> Iterator[tuple[bytes, bytes]]:
    for change in rows:
        video, row = change.video, _NUMBER.pack(change.row)
        yield _ROW + row, _encode(video)
        yield _VIDEO + video.video_id.encode(), row
        yield _AUTHOR + _NUMBER.pack(change.author_row), video.author_id.encode()
        yield _AUTHORED + video.author_id.encode(), _NUMBER.pack(change.author_row)
        for tag_row, tag in zip(change.tag_rows, dict.fromkeys(video.tags), strict=True):  # a tag given twice has one row
            yield _TAG + _NUMBER.pack(tag_row), tag.encode()
            yield _TAGGED + tag.encode(), _NUMBER.pack(tag_row)
        if change.sound_row >= 0:
            yield _SOUND + _NUMBER.pack(change.sound_row), video.sound_id.encode()
            yield _SOUNDING + video.sound_id.encode(), _NUMBER.pack(change.sound_row)
        if video.regions or video.not_in:
            yield _REGIONS + _NUMBER.pack(_region_key(video)), _named_regions(video)


class _Rows(Mapping[str, int]):
    """The rows of ids. A row is for good, so those asked for lately are remembered."""

    def __init__(self, shared: SharedColumns, kind: bytes, counts: Callable[[int], bool] = lambda _: True) -> None:
        self._shared = shared
        self._kind = kind
        self._counts = counts  # whether a row is filled: ids are known a little before
        self._lately: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        row = self._lately.get(name)
        if row is not None:
            return row
        stored = self._shared.get(self._kind + name.encode(errors="surrogatepass"))
        if stored is None:
            raise KeyError(name)
        row = _NUMBER.unpack(stored)[0]
        if not self._counts(row):
            self._shared.look()  # another process has just written it
            if not self._counts(row):
                raise KeyError(name)
        if len(self._lately) >= _KEPT:
            self._lately = {}  # another one: somebody may be reading this
        self._lately[name] = row
        return row

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.items())

    def __len__(self) -> int:
        return sum(1 for _ in self.items())

    def items(self) -> Any:
        found = ((name.decode(), _NUMBER.unpack(stored)[0]) for name, stored in self._shared.under(self._kind))
        return ((name, row) for name, row in found if self._counts(row))


class _ByRow(Generic[Value]):
    """What is known by row, read from the file each time: it may have changed."""

    def __init__(self, shared: SharedColumns, kind: bytes, decode: Callable[[bytes], Value]) -> None:
        self._shared = shared
        self._kind = kind
        self._decode = decode

    def __getitem__(self, row: int) -> Value:
        """Raises IndexError where nothing is known."""
        stored = self._shared.get(self._kind + _NUMBER.pack(row))
        if stored is None:
            raise IndexError(row)
        return self._decode(stored)

    def get(self, row: int, default: Value) -> Value:
        """What is known by this row, or `default`."""
        stored = self._shared.get(self._kind + _NUMBER.pack(row))
        return default if stored is None else self._decode(stored)


def language_key(language: str) -> int:
    """A language as a number, 0 for none: all processes come to the same one without a table to share."""
    return zlib.crc32(normal_language(language).encode()) if language else 0


def _region_key(video: Video) -> int:
    """The regions of a video as a number, 0 for none; 56 bits of a digest, so that no two lists meet in one."""
    if not video.regions and not video.not_in:
        return 0
    return int.from_bytes(hashlib.blake2b(_named_regions(video), digest_size=7).digest(), "big")


def _named_regions(video: Video) -> bytes:
    return "|".join(",".join(sorted(set(map(normal_region, regions)))) for regions in (video.regions, video.not_in)).encode()


def _decode_regions(named: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    alone, never = (tuple(filter(None, regions.split(","))) for regions in named.decode().split("|"))
    return alone, never


def length_class(duration_s: float) -> int:
    """Videos of about the same length share a class: halves of a power of two of seconds."""
    return math.floor(2 * math.log2(max(duration_s, 1.0)))

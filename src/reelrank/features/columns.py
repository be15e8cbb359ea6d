"""VideoColumns: the catalogue in memory, one array per field, by dense video row."""

import hashlib
import math
import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.eligibility import normal_language, normal_region
from reelrank.domain.event import Context
from reelrank.domain.video import MAX_TAGS, Video
from reelrank.domain.words import WORDS_WIDE, signature, texts_of
from reelrank.storage.catalog import Catalog, CatalogRow

MAX_PLACES = 10_000  # clients name places: what they make up must not fill the stores
MAX_SURFACES = 254  # clients name these, too; a watch keeps its surface in one byte

_COLUMNS = (
    "author_row", "sound_row", "place_row", "tag_rows", "duration_s", "length_class", "uploaded_at", "height", "bitrate_kbps", "removed",
    "min_age", "language_key", "region_key", "word_bits",
)  # fmt: skip

Ints = NDArray[np.int64]


class VideoColumns:
    """Follows a catalogue. `refresh` picks up what changed; readers never see half a change of one video.

    Arrays have room beyond `count`; look only at rows below it.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._revision = 0
        self._last_place = self._last_surface = -1
        self.count = 0
        self.videos: list[Video] = []
        self.rows: dict[str, int] = {}  # video id -> row
        self.authors: dict[str, int] = {}
        self.places: dict[str, int] = {}
        self.surfaces: dict[str, int] = {}  # surface -> its number, 1 to MAX_SURFACES; 0 stands for every other one
        self.tags: dict[int, str] = {}  # tag row -> its name
        self.sounds: dict[int, str] = {}
        self.tag_named: dict[str, int] = {}
        self.sound_named: dict[str, int] = {}
        self.regions: dict[int, tuple[frozenset[str], frozenset[str]]] = {0: (frozenset(), frozenset())}  # region key -> where alone, and where not
        self.author_row: Ints = np.empty(0, dtype=np.int64)
        self.sound_row: Ints = np.empty(0, dtype=np.int64)
        self.place_row: Ints = np.empty(0, dtype=np.int64)
        self.tag_rows: Ints = np.empty((0, MAX_TAGS), dtype=np.int64)  # -1 where a video has fewer
        self.duration_s: NDArray[np.float64] = np.empty(0)
        self.length_class: Ints = np.empty(0, dtype=np.int64)  # the same for videos of about the same duration
        self.uploaded_at: NDArray[np.float64] = np.empty(0)
        self.height: NDArray[np.int32] = np.empty(0, dtype=np.int32)  # of the best rendition in pixels, 0 without files
        self.bitrate_kbps: NDArray[np.int32] = np.empty(0, dtype=np.int32)  # of the same
        self.removed: NDArray[np.bool_] = np.empty(0, dtype=np.bool_)
        self.min_age: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
        self.language_key: Ints = np.empty(0, dtype=np.int64)  # as of `language_key`
        self.region_key: Ints = np.empty(0, dtype=np.int64)  # which of `regions` holds
        self.word_bits: NDArray[np.uint64] = np.empty((0, WORDS_WIDE), dtype=np.uint64)  # domain.words.signature of caption and tags
        self.refresh()
        self.name_surfaces((Context().surface,))  # a feed is mostly asked for there: no process must find out that it has a number only later

    def refresh(self) -> int:
        """Reads what changed in the catalogue since the last time; returns how many videos did."""
        changed = 0
        with self._lock:
            for row, place in self._catalog.names("place", after=self._last_place):  # other processes name places too
                self.places[place] = self._last_place = row
            for row, surface in self._catalog.names("surface", after=self._last_surface):
                self._last_surface = row
                self._number_surfaces({surface: row})
            while rows := self._catalog.changes(self._revision):
                self._grow(max(row.row for row in rows) + 1)
                for row in rows:
                    self._take(row)
                self._revision = rows[-1].revision
                changed += len(rows)
            self.count = len(self.videos)  # only now: a row's last change may come after those of later rows
        return changed

    def row_of(self, video_id: str) -> int | None:
        """The dense row of a video, None if the catalogue has none."""
        return self.rows.get(video_id)

    def name_places(self, places: Iterable[str]) -> None:
        """Gives new places their rows in the catalogue, all at once, as long as there are fewer than `MAX_PLACES`."""
        new = sorted({place for place in places if place not in self.places})[: MAX_PLACES - len(self.places)]
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

    def _take(self, row: CatalogRow) -> None:
        at, video = row.row, row.video
        while len(self.videos) <= at:
            self.videos.append(video)
        self.videos[at] = video
        self.author_row[at] = row.author_row
        self.sound_row[at] = row.sound_row
        self.place_row[at] = row.place_row
        self.tag_rows[at] = -1
        self.tag_rows[at, : len(row.tag_rows)] = row.tag_rows
        self.duration_s[at] = video.duration_s
        self.length_class[at] = length_class(video.duration_s)
        self.uploaded_at[at] = video.uploaded_at
        best = video.rendition_for(None)
        self.height[at], self.bitrate_kbps[at] = (0, 0) if best is None else (best.height, best.bitrate_kbps)
        self.removed[at] = row.removed
        self.min_age[at] = video.min_age
        self.language_key[at] = language_key(video.language)
        self.region_key[at] = self._region_key(video)
        self.word_bits[at] = signature(texts_of(video))
        named = dict(zip(dict.fromkeys(video.tags), row.tag_rows, strict=True))  # a tag given twice has one row
        self.tags.update(zip(named.values(), named, strict=True))
        self.tag_named.update(named)
        if row.sound_row >= 0:
            self.sounds[row.sound_row] = video.sound_id
            self.sound_named[video.sound_id] = row.sound_row
        self.authors[video.author_id] = row.author_row
        self.rows[video.video_id] = at  # last: from here on others find it

    def _region_key(self, video: Video) -> int:
        if not video.regions and not video.not_in:
            return 0
        lists = tuple(frozenset(map(normal_region, regions)) for regions in (video.regions, video.not_in))
        named = "|".join(",".join(sorted(regions)) for regions in lists)
        key = int.from_bytes(hashlib.blake2b(named.encode(), digest_size=7).digest(), "big")
        self.regions[key] = lists[0], lists[1]
        return key

    def _grow(self, wanted: int) -> None:
        room = len(self.author_row)
        if wanted <= room:
            return
        more = max(wanted, 2 * room) - room
        for name in _COLUMNS:
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.zeros((more, *column.shape[1:]), dtype=column.dtype)]))


def language_key(language: str) -> int:
    """A language as a number, 0 for none: videos are told apart by it without a table that everybody had to share."""
    return zlib.crc32(normal_language(language).encode()) if language else 0


def length_class(duration_s: float) -> int:
    """Videos of about the same length share a class: halves of a power of two of seconds."""
    return math.floor(2 * math.log2(max(duration_s, 1.0)))

"""Builds what recall reads: item-to-item weights, with and without a direction, and similar users, from all users' folded histories."""

import time
from pathlib import Path
from typing import Annotated, NamedTuple
from zlib import crc32

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from reelrank.candidates import co_watched, similar_users
from reelrank.candidates.co_watched import CoWatches
from reelrank.candidates.followed_index import VectorsConfig
from reelrank.candidates.video_counters import video_counters
from reelrank.domain.arrays import Rows
from reelrank.domain.clock import Clock
from reelrank.domain.user import no_rows
from reelrank.features import windows
from reelrank.features.reader import FeatureReader
from reelrank.features.sequences import decode_user
from reelrank.features.windows import Counter
from reelrank.models import directed_item_to_item, item_to_item
from reelrank.models.directed_item_to_item import DirectedConfig
from reelrank.models.item_to_item import ItemToItemConfig
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.online_store import OnlineStore


class NextWatchedConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is counted of one video being watched after another. The exponents were chosen on a real log; ones near them differ little."""

    neighbours: Annotated[int, Meta(ge=1)] = 512  # kept per video
    gap_decay: Annotated[float, Meta(ge=0, le=1)] = 0.95  # what a pair one watch further apart counts
    max_gap: Annotated[int, Meta(ge=1)] = 30  # pairs further apart are not counted
    backward: Annotated[float, Meta(ge=0)] = 0.7  # what a pair counts for the way back
    row_exponent: float = 0.85  # how much less each weight of a video says when many follow it
    column_exponent: float = 0.75  # how much a video that follows many is held back: it is popular, which is counted apart

    @property
    def directed(self) -> DirectedConfig:
        """As the model takes it."""
        return DirectedConfig(
            gap_decay=self.gap_decay, backward=self.backward, row_exponent=self.row_exponent, column_exponent=self.column_exponent, max_gap=self.max_gap
        )


class IndexConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often the index is rebuilt and what goes into it."""

    every_s: Annotated[float, Meta(gt=0)] = 60.0
    min_users: Annotated[int, Meta(ge=1)] = 5  # with fewer there is nobody to learn from
    max_users: Annotated[int, Meta(ge=1)] = 200_000  # of more, every second, third, … one by the hash of the id: bounds memory and time
    posting: Annotated[int, Meta(ge=1)] = 200  # latest users kept per video
    item_to_item: ItemToItemConfig = ItemToItemConfig()
    next_watched: NextWatchedConfig = NextWatchedConfig()
    vectors: VectorsConfig = VectorsConfig()


class _Histories(NamedTuple):
    """What all users watched and engaged with."""

    users: Rows  # (watches,) dense numbers, ascending
    rows: Rows  # (watches,) oldest first for each user
    engaged: list[Rows]  # per user, latest first
    moments: list[NDArray[np.float64]]


class IndexBuilder:
    """Reads the online store and publishes two artifacts."""

    def __init__(self, store: OnlineStore, reader: FeatureReader, artifacts: ArtifactStore, clock: Clock, config: IndexConfig | None = None) -> None:
        self._store = store
        self._reader = reader
        self._artifacts = artifacts
        self._clock = clock
        self._config = config or IndexConfig()

    def build(self) -> str:
        """Publishes both artifacts if anything was folded since they were last built; says what it did."""
        offsets = ",".join(str(offset) for offset in self._store.offsets())
        built = [self._artifacts.current(name) for name in (co_watched.ITEM_TO_ITEM, similar_users.SIMILAR_USERS)]
        if all(artifact is not None and artifact.manifest.about["offsets"] == offsets for artifact in built):
            return "index: nothing was folded since the last build"
        histories = _read(self._store, self._config.max_users)
        users = len(histories.engaged)
        if users < self._config.min_users:
            return f"index: {users} users have watched something; {self._config.min_users} are needed"
        now = self._clock.now()
        return f"index: {users} users; {self._publish_item_to_item(histories, now, offsets)}; {self._publish_similar_users(histories, offsets)}"

    def _publish_item_to_item(self, histories: _Histories, now: float, offsets: str) -> str:
        began = time.perf_counter()
        popularity = _watched_lately(self._reader, int(histories.rows.max()) + 1, now)
        amounts = np.ones(len(histories.rows), dtype=np.float32)  # what is shown to somebody says something, watched or skipped
        together = item_to_item.fit(histories.users, histories.rows, amounts, popularity, self._config.item_to_item)
        after = self._config.next_watched
        model = CoWatches(together, directed_item_to_item.fit(histories.users, histories.rows, together, after.neighbours, after.directed))
        seconds = round(time.perf_counter() - began, 3)
        pairs = len(model.together.weights) + len(model.after.weights)
        about: dict[str, str | int | float] = {"offsets": offsets, "users": len(histories.engaged), "videos": len(together.videos)}
        about |= {"pairs": pairs, "seconds": seconds}
        self._artifacts.publish(co_watched.ITEM_TO_ITEM, self._clock.now(), model.save, about)
        return f"{pairs} pairs of {len(together.videos)} videos in {seconds:.1f} s"

    def _publish_similar_users(self, histories: _Histories, offsets: str) -> str:
        began = time.perf_counter()
        lists = similar_users.collect(histories.engaged, histories.moments, self._config.posting)
        seconds = round(time.perf_counter() - began, 3)
        about: dict[str, str | int | float] = {"offsets": offsets, "users": len(histories.engaged), "videos": len(lists.videos)}
        about |= {"pairs": len(lists.engaged), "seconds": seconds}

        def write(folder: Path) -> None:
            lists.save(folder / similar_users.FILE)

        self._artifacts.publish(similar_users.SIMILAR_USERS, self._clock.now(), write, about)
        return f"{len(lists.engaged)} engagements with {len(lists.videos)} videos"


def _read(store: OnlineStore, max_users: int) -> _Histories:
    """Users who have watched something, in the order of their ids; about `max_users` of them if there are more."""
    every = -(-sum(1 for _ in store.scan_users()) // max_users)
    watched: list[Rows] = []
    engaged: list[Rows] = []
    moments: list[NDArray[np.float64]] = []
    for user_id, record in store.scan_users():
        if every > 1 and crc32(user_id.encode()) % every:
            continue
        user = decode_user(user_id, record)
        if len(user.watches):
            watched.append(user.watches.video_rows)
            rows, when = similar_users.engaged_with(user, similar_users.RECENT)
            engaged.append(rows)
            moments.append(when)
    users = np.repeat(np.arange(len(watched)), [len(rows) for rows in watched])
    return _Histories(users, np.concatenate([no_rows(), *watched]), engaged, moments)


def _watched_lately(reader: FeatureReader, videos: int, now: float) -> NDArray[np.float64]:
    """How often each video was watched or skipped in the last day, plus its daily mean over the week: (videos,)."""
    lately = np.zeros(videos)
    for rows, state in video_counters(reader, videos):
        day, week = (windows.window(state, name, now) for name in ("1d", "7d"))
        lately[rows] = (day + week / 7)[:, [Counter.CLICKS, Counter.SKIPS]].sum(axis=1)
    return lately

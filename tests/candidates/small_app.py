"""A small app with real stores: publish videos, let people watch, ask a source."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np

from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Accepted, Context, Event, Follow, Impression, Like, Skip, Watch, encode_accepted
from reelrank.domain.params import FeedParams
from reelrank.domain.user import User
from reelrank.domain.video import Video
from reelrank.features.columns import VideoColumns
from reelrank.features.counter_fold import CounterFold
from reelrank.features.reader import FeatureReader
from reelrank.features.stream import Stream
from reelrank.features.user_fold import UserFold
from reelrank.pipeline.stages import Query, Source
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.catalog_sqlite import SqliteCatalog
from reelrank.storage.counter_store import CounterStore
from reelrank.storage.event_log import EVENTS, Record
from reelrank.storage.event_log_embedded import EmbeddedEventLog
from reelrank.storage.online_store_embedded import EmbeddedOnlineStore

START = 1_700_000_000.0
HOUR, DAY = 3_600.0, 86_400.0


class SmallApp:
    """Everything between an event and a proposal; the clock stands at `START` until it is moved."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(START)
        self.catalog = SqliteCatalog(folder / "catalog.sqlite")
        self.log = EmbeddedEventLog(folder / "log", partitions=1)
        self.store = EmbeddedOnlineStore(folder / "online", partitions=1, durable=False)
        self.counters = CounterStore(folder / "counters", partitions=1, durable=False)
        self.artifacts = ArtifactStore(folder / "artifacts")
        self.columns = VideoColumns(self.catalog, folder / "columns")
        self.reader = FeatureReader(self.store, self.counters, self.columns)
        self.stream = Stream(self.log, UserFold(self.log, self.store, self.columns, 1_000), CounterFold(self.log, self.counters), self.counters)
        self._ids = count()

    def close(self) -> None:
        for one in (self.catalog, self.log, self.store, self.counters):
            one.close()

    def publish(self, *video_ids: str, author: str = "author", tags: Sequence[str] = (), age_s: float = DAY) -> list[int]:
        """Adds videos, each uploaded a second after the one before; returns their rows."""
        uploaded_at = self.clock.now() - age_s
        videos = [
            Video(video_id=video_id, author_id=author, duration_s=10.0, uploaded_at=uploaded_at + place, tags=tuple(tags))
            for place, video_id in enumerate(video_ids)
        ]
        rows = [row.row for row in self.catalog.publish(videos)]
        self.columns.refresh()
        return rows

    def remove(self, *video_ids: str) -> None:
        self.catalog.remove(video_ids)
        self.columns.refresh()

    def see(self, *events: Event) -> None:
        """Takes events as if they had just happened, in this order, and folds them."""
        now = self.clock.now()
        accepted = [Accepted(event, now, now if getattr(event, "occurred_at", None) is None else event.occurred_at or 0.0) for event in events]
        self.log.append(EVENTS, [Record(one.event.key, encode_accepted(one)) for one in accepted])
        self.stream.catch_up()

    def watches(self, user_id: str, *video_ids: str, watched_s: float = 10.0, place: str = "", ago_s: float = 0.0) -> None:
        """Impressions and watches; ten seconds are to the end."""
        context, at = Context(place=place), self.clock.now() - ago_s
        for video_id in video_ids:
            self.see(
                Impression(event_id=self._id(), occurred_at=at, user_id=user_id, video_id=video_id, context=context),
                Watch(event_id=self._id(), occurred_at=at, user_id=user_id, video_id=video_id, watched_s=watched_s, context=context),
            )
            at += 0.001

    def skips(self, user_id: str, *video_ids: str) -> None:
        self.see(*[Skip(event_id=self._id(), user_id=user_id, video_id=video_id, watched_s=0.5) for video_id in video_ids])

    def likes(self, user_id: str, *video_ids: str) -> None:
        self.see(*[Like(event_id=self._id(), user_id=user_id, video_id=video_id) for video_id in video_ids])

    def follows(self, user_id: str, *author_ids: str) -> None:
        self.see(*[Follow(event_id=self._id(), user_id=user_id, author_id=author_id) for author_id in author_ids])

    def user(self, user_id: str) -> User:
        return self.reader.user(user_id)

    def query(self, user_id: str, place: str = "", seed: int = 0) -> Query:
        return Query(
            user=self.user(user_id), now=self.clock.now(), count=10, params=FeedParams(), rng=np.random.default_rng(seed), context=Context(place=place)
        )

    def proposed(self, source: Source, user_id: str, quota: int = 10, place: str = "", seed: int = 0) -> list[str]:
        """The ids of the videos that a source proposes, best first."""
        rows = source.propose(self.query(user_id, place, seed), quota).rows
        assert rows.dtype == np.int64
        assert len(set(rows.tolist())) == len(rows) <= quota
        return [self.columns.videos[row].video_id for row in rows]

    def _id(self) -> str:
        return f"event {next(self._ids)}"

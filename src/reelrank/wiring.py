"""Turns Settings into connected objects. The only module that names a backend."""

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from reelrank.candidates.build_index import IndexBuilder
from reelrank.candidates.co_watched import CoWatchedSource, item_to_item
from reelrank.candidates.following import FollowingSource
from reelrank.candidates.fresh import FreshSource
from reelrank.candidates.similar_users import SimilarUsersSource, similar_users
from reelrank.candidates.trending import TrendingBoard, TrendingPlaceSource, TrendingSource, TrendingTagSource
from reelrank.config import ConfigError, Settings
from reelrank.domain.clock import Clock, ShiftedClock, SystemClock
from reelrank.events.collector import Collector
from reelrank.features.columns import VideoColumns
from reelrank.features.counter_fold import CounterFold
from reelrank.features.reader import FeatureReader
from reelrank.features.stream import Stream
from reelrank.features.user_fold import UserFold
from reelrank.feed import Feed
from reelrank.ranking.served_log import ServedLog
from reelrank.serving.services import Services
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.catalog import Catalog
from reelrank.storage.catalog_sqlite import SqliteCatalog
from reelrank.storage.counter_store import CounterStore
from reelrank.storage.event_log import EventLog
from reelrank.storage.event_log_embedded import EmbeddedEventLog
from reelrank.storage.online_store import OnlineStore
from reelrank.storage.online_store_embedded import EmbeddedOnlineStore


class Reelrank:
    """One process's view of a deployment. Parts are opened when they are first asked for, and closed together."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock: Clock = clock or (ShiftedClock(settings.clock_shift_s) if settings.clock_shift_s else SystemClock())
        self._open = ExitStack()

    @cached_property
    def log(self) -> EventLog:
        log = EmbeddedEventLog(self._file("event log", self.settings.storage.event_log), self.settings.storage.partitions)
        self._open.callback(log.close)
        return log

    @cached_property
    def store(self) -> OnlineStore:
        storage = self.settings.storage
        path = self._file("online store", storage.online_store)
        store = EmbeddedOnlineStore(path, storage.partitions, storage.repeat_window)
        self._open.callback(store.close)
        return store

    @cached_property
    def counters(self) -> CounterStore:
        storage = self.settings.storage
        counters = CounterStore(Path(self.settings.data_dir) / storage.counters, storage.partitions)
        self._open.callback(counters.close)
        return counters

    @cached_property
    def catalog(self) -> Catalog:
        catalog = SqliteCatalog(self._file("catalogue", self.settings.storage.catalog))
        self._open.callback(catalog.close)
        return catalog

    @cached_property
    def artifacts(self) -> ArtifactStore:
        return ArtifactStore(self._file("artifact store", self.settings.storage.artifacts))

    @cached_property
    def columns(self) -> VideoColumns:
        return VideoColumns(self.catalog)

    @cached_property
    def reader(self) -> FeatureReader:
        return FeatureReader(self.store, self.counters, self.columns)

    @cached_property
    def collector(self) -> Collector:
        return Collector(self.log, self.catalog, self.columns, self.clock, config=self.settings.collector)

    @cached_property
    def stream(self) -> Stream:
        users = UserFold(self.log, self.store, self.columns, self.settings.storage.repeat_window, self.settings.stream)
        return Stream(self.log, users, CounterFold(self.log, self.counters), self.counters, self.settings.stream)

    @cached_property
    def index_builder(self) -> IndexBuilder:
        return IndexBuilder(self.store, self.reader, self.artifacts, self.clock, self.settings.index)

    @cached_property
    def trending(self) -> TrendingBoard:
        return TrendingBoard(self.reader, self.columns, self.clock)

    @cached_property
    def feed(self) -> Feed:
        board = self.trending
        co_watched = CoWatchedSource(item_to_item(self.artifacts))
        similar = SimilarUsersSource(similar_users(self.artifacts))
        following = FollowingSource(self.columns)
        fresh = FreshSource(self.columns, self.reader, self.clock)
        feed = Feed(
            self.reader,
            self.columns,
            sources=[co_watched, similar, following, TrendingSource(board), TrendingPlaceSource(board), TrendingTagSource(board, self.columns), fresh],
            co_watch=co_watched,
            served_log=ServedLog(self.log),
            partitions=self.settings.storage.partitions,
            params=self.settings.params,
            config=self.settings.feed,
            refreshables=[board, co_watched, similar, following, fresh],
        )
        self._open.callback(feed.close)
        return feed

    @cached_property
    def services(self) -> Services:
        return Services(
            clock=self.clock,
            log=self.log,
            store=self.store,
            catalog=self.catalog,
            columns=self.columns,
            reader=self.reader,
            collector=self.collector,
            feed=self.feed,
            trending=self.trending,
            media_root=Path(self.settings.data_dir) / self.settings.serving.media,
            config=self.settings.serving,
            fallback_rows=lambda count: self.trending.everywhere()[:count].tolist(),
        )

    def close(self) -> None:
        """Closes what was opened, the last first."""
        self._open.close()

    def _file(self, what: str, url: str) -> Path:
        scheme, _, path = url.partition(":")
        if scheme != "file":
            raise ConfigError(f"no {what} for {scheme!r}; known: file")
        return Path(self.settings.data_dir) / path


def open_reelrank(settings: Settings, clock: Clock | None = None) -> Reelrank:
    """A deployment as `settings` describe it; nothing is opened before it is used."""
    return Reelrank(settings, clock)

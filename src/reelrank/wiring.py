"""Turns Settings into connected objects. The only module that names a backend."""

import hmac
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from reelrank.candidates.build_index import IndexBuilder
from reelrank.candidates.build_vectors import VectorBuilder
from reelrank.candidates.co_watched import ITEM_TO_ITEM, CoWatchedSource, CoWatches, item_to_item
from reelrank.candidates.eligible import Eligible
from reelrank.candidates.following import FollowingSource
from reelrank.candidates.graph_neighbours import GRAPH, Graph, GraphNeighboursSource, graph_vectors
from reelrank.candidates.nearest import TWO_TOWER, NearestSource, Towers, two_tower
from reelrank.candidates.pinned import PinnedSource
from reelrank.candidates.recall_watch import RecallWatch
from reelrank.candidates.similar_content import SimilarContentSource
from reelrank.candidates.similar_users import SIMILAR_USERS, Engagements, SimilarUsersSource, similar_users
from reelrank.candidates.trending import TrendingPlaceSource, TrendingSource, TrendingTagSource
from reelrank.candidates.upkeep import Upkeep
from reelrank.config import ConfigError, Settings, StorageConfig
from reelrank.domain.clock import Clock, ShiftedClock, SystemClock
from reelrank.events.collector import Collector
from reelrank.events.rights import SlateVerifier
from reelrank.features.columns import VideoColumns
from reelrank.features.counter_fold import CounterFold
from reelrank.features.lake_role import LakeRole
from reelrank.features.point_in_time import ScratchStores
from reelrank.features.reader import FeatureReader
from reelrank.features.rule_book import RuleBook
from reelrank.features.served_slates import Spool
from reelrank.features.stream import Stream
from reelrank.features.user_fold import UserFold
from reelrank.feed import Feed
from reelrank.ranking.ranker_scorer import RANKER, RankerScorer, published_ranker
from reelrank.ranking.ranker_session import KeptHistories
from reelrank.ranking.served_log import ServedLog
from reelrank.serving.auth import Authenticator, MediaSigner
from reelrank.serving.hot_swap import HotSwap
from reelrank.serving.services import Services
from reelrank.serving.telemetry import Metrics
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.catalog import Catalog
from reelrank.storage.catalog_sql import SqlCatalog
from reelrank.storage.catalog_sqlite import SqliteDatabase
from reelrank.storage.counter_store import CounterStore
from reelrank.storage.database import Database
from reelrank.storage.event_log import EventLog
from reelrank.storage.event_log_embedded import EmbeddedEventLog
from reelrank.storage.keys import Keys
from reelrank.storage.lake import Lake
from reelrank.storage.last_runs import LastRuns
from reelrank.storage.online_store import OnlineStore
from reelrank.storage.online_store_embedded import EmbeddedOnlineStore
from reelrank.storage.published import Published
from reelrank.storage.quick_folder import quick_folder
from reelrank.storage.rule_store import RuleStore

if TYPE_CHECKING:
    from reelrank.models.sessions import RankerSession
    from reelrank.training.retrain import Retraining
    from reelrank.training.train_role import TrainRole

MIN_SECRET_CHARS = 32
MODELS = (RANKER, TWO_TOWER, GRAPH, ITEM_TO_ITEM, SIMILAR_USERS)  # whatever is learned elsewhere than where it is used


class Reelrank:
    """One process's view of a deployment. Parts are opened when they are first asked for, and closed together."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self._shares = clock is None  # with other processes of this machine what depends on the time
        self.clock: Clock = clock or (ShiftedClock(settings.clock_shift_s) if settings.clock_shift_s else SystemClock())
        self._open = ExitStack()

    @cached_property
    def log(self) -> EventLog:
        storage = self.settings.storage
        scheme, _, servers = storage.event_log.partition(":")
        if scheme == "kafka":
            from reelrank.storage.event_log_kafka import KafkaEventLog  # a client library is loaded where its URL asks for it

            servers = servers.removeprefix("//")
            if not servers or "@" in servers:  # it would be shown in errors
                raise ConfigError("storage.event_log names no brokers, or an account; write kafka:host:port,host:port and the account as storage.kafka.sasl_…")
            log = KafkaEventLog(servers, storage.partitions, storage.kafka)
        else:
            log = EmbeddedEventLog(self._file("event log", storage.event_log, "file, kafka"), storage.partitions)
        self._open.callback(log.close)
        return log

    @cached_property
    def store(self) -> OnlineStore:
        storage = self.settings.storage
        if storage.online_store.partition(":")[0] in {"redis", "rediss", "redis-cluster", "rediss-cluster"}:
            from reelrank.storage.online_store_redis import RedisOnlineStore

            try:
                store = RedisOnlineStore(storage.online_store, storage.partitions, storage.repeat_window, storage.redis_prefix)
            except ValueError as problem:
                raise ConfigError(f"storage.online_store: {problem}") from None
        else:
            path = self._file("online store", storage.online_store, "file, redis, rediss, redis-cluster")
            store = EmbeddedOnlineStore(path, storage.partitions, storage.repeat_window)
        self._open.callback(store.close)
        return store

    @cached_property
    def database(self) -> Database:
        url = self.settings.storage.catalog
        if url.partition(":")[0] in {"postgresql", "postgres"}:
            from reelrank.storage.catalog_postgresql import PostgresqlDatabase

            database = PostgresqlDatabase(url)
        else:
            database = SqliteDatabase(self._file("catalogue", url, "file, postgresql"))
        self._open.callback(database.close)
        return database

    @cached_property
    def counters(self) -> CounterStore:
        storage = self.settings.storage
        counters = CounterStore(Path(self.settings.data_dir) / storage.counters, storage.partitions)
        self._open.callback(counters.close)
        return counters

    @cached_property
    def keys(self) -> Keys:
        return Keys(self.database)

    @cached_property
    def rules(self) -> RuleStore:
        return RuleStore(self.database)

    @cached_property
    def rule_book(self) -> RuleBook:
        book = RuleBook(self.rules, self.columns)
        book.refresh()
        return book

    @cached_property
    def _secret(self) -> bytes:
        configured = self.settings.serving.secret
        if configured and len(configured) < MIN_SECRET_CHARS:
            raise ConfigError(f"serving.secret has {len(configured)} characters; give it {MIN_SECRET_CHARS} random ones or more, or leave it out")
        return configured.encode() or self.keys.shared_secret("deployment", self.clock.now())

    def _secret_for(self, use: str) -> bytes:
        return hmac.digest(self._secret, use.encode(), "sha256")

    @cached_property
    def catalog(self) -> Catalog:
        return SqlCatalog(self.database)

    @cached_property
    def artifacts(self) -> ArtifactStore:
        return ArtifactStore(self._file("artifact store", self.settings.storage.artifacts))

    @cached_property
    def last_runs(self) -> LastRuns:
        return LastRuns(self.artifacts.root)

    @cached_property
    def columns(self) -> VideoColumns:
        columns = VideoColumns(self.catalog, Path(self.settings.data_dir) / self.settings.storage.columns)
        self._open.callback(columns.close)
        return columns

    @cached_property
    def reader(self) -> FeatureReader:
        return FeatureReader(self.store, self.counters, self.columns)

    @cached_property
    def collector(self) -> Collector:
        return Collector(self.log, self.catalog, self.columns, self.clock, SlateVerifier(self._secret_for("slates")), self.settings.collector)

    @cached_property
    def stream(self) -> Stream:
        users = UserFold(self.log, self.store, self.columns, self.settings.storage.repeat_window, self.settings.stream)
        return Stream(self.log, users, CounterFold(self.log, self.counters), self.counters, self.settings.stream)

    @cached_property
    def lake(self) -> Lake:
        url = self.settings.storage.lake  # whatever is no path below data_dir goes to deltalake as it is
        path = self._file("lake", url).absolute() if url.startswith("file:") and not url.startswith("file://") else url
        return Lake(str(path), self.settings.lake)

    @cached_property
    def lake_role(self) -> LakeRole:
        return LakeRole(self.log, self.columns, self.lake, self.clock, self.settings.attribution)

    @cached_property
    def index_builder(self) -> IndexBuilder:
        return IndexBuilder(self.store, self.reader, self.artifacts, self.clock, self.settings.index)

    @cached_property
    def vector_builder(self) -> VectorBuilder:
        return VectorBuilder(self.store, self.columns, self.artifacts, self.clock, self.settings.index.vectors)

    @cached_property
    def eligible(self) -> Eligible:
        return Eligible(self.columns, self.clock)

    @cached_property
    def recall(self) -> RecallWatch:
        vectors = self.settings.index.vectors
        watch = RecallWatch(vectors.sampled, vectors.sampled_cpu)
        self._open.callback(watch.close)
        return watch

    @cached_property
    def upkeep(self) -> Upkeep:
        upkeep = Upkeep(self.reader, self.columns, self.clock, Path(self.settings.data_dir) / "made" if self._shares else None)
        self._open.callback(upkeep.close)
        return upkeep

    @cached_property
    def ranker(self) -> "Published[RankerSession]":
        return published_ranker(self.artifacts)

    @cached_property
    def histories(self) -> KeptHistories:
        return KeptHistories(self.settings.feed.kept_histories_mib * 2**20, self.settings.feed.kept_histories_stale_s)

    @cached_property
    def two_tower(self) -> Published[Towers]:
        return two_tower(self.artifacts, self.columns, self.settings.index.vectors.exact_up_to)

    @cached_property
    def graph(self) -> Published[Graph]:
        return graph_vectors(self.artifacts, self.columns, self.settings.index.vectors.exact_up_to)

    @cached_property
    def item_to_item(self) -> Published[CoWatches]:
        return item_to_item(self.artifacts)

    @cached_property
    def similar_users(self) -> Published[Engagements]:
        return similar_users(self.artifacts)

    @cached_property
    def hot_swap(self) -> "HotSwap[RankerSession]":
        return HotSwap(self.ranker, self.log)

    @cached_property
    def retraining(self) -> "Retraining":
        from reelrank.training.retrain import Retraining  # torch is loaded where something is trained

        runs = Path(self.settings.data_dir) / "runs"
        return Retraining(self.log, self.lake, self.columns, self.artifacts, self.clock, runs, self.settings.train)

    @cached_property
    def train_role(self) -> "TrainRole":
        from reelrank.training.log_examples import LogExamples
        from reelrank.training.train_role import TrainRole

        return TrainRole(self.log, LogExamples(self.reader, self.columns), self.retraining, self.clock, self.train_folder)

    @property
    def train_folder(self) -> Path:
        """Where the role train keeps its checkpoints, and says what it did."""
        return Path(self.settings.data_dir) / "train"

    @property
    def models(self) -> list[Published[Any]]:
        """Whatever is learned elsewhere and followed here, in the order of MODELS."""
        return [self.ranker, self.two_tower, self.graph, self.item_to_item, self.similar_users]

    @cached_property
    def feed(self) -> Feed:
        board, fresh = self.upkeep.board, self.upkeep.fresh
        co_watched, similar = CoWatchedSource(self.item_to_item), SimilarUsersSource(self.similar_users)
        nearest = NearestSource(self.two_tower, self.columns, self.eligible, self.recall)
        neighbours = GraphNeighboursSource(self.graph, self.eligible, self.recall)
        alike = SimilarContentSource(self.columns, self.eligible)
        ranker = RankerScorer(self.ranker, self.columns, self.histories)
        following = FollowingSource(self.columns)
        feed = Feed(
            self.reader,
            self.columns,
            sources=[
                nearest,
                neighbours,
                alike,
                co_watched,
                similar,
                following,
                TrendingSource(board),
                TrendingPlaceSource(board),
                TrendingTagSource(board, self.columns),
                fresh,
                PinnedSource(self.rule_book),
            ],
            co_watch=co_watched,
            served_log=ServedLog(self.log),
            partitions=self.settings.storage.partitions,
            secret=self._secret_for("slates"),
            params=self.settings.params,
            config=self.settings.feed,
            ranker=ranker,
            refreshables=[board, self.eligible, nearest, neighbours, alike, co_watched, similar, following, fresh, ranker],
            models=self.models,
            new_videos=fresh,
            rules=self.rule_book,
            learned=lambda: self.hot_swap.offset,
        )
        self._open.callback(feed.close)
        return feed

    @cached_property
    def services(self) -> Services:
        serving, metrics = self.settings.serving, Metrics()
        guarded = serving.guarded
        return Services(
            clock=self.clock,
            log=self.log,
            store=self.store,
            catalog=self.catalog,
            columns=self.columns,
            reader=self.reader,
            collector=self.collector,
            feed=self.feed,
            trending=self.upkeep.board,
            rules=self.rules,
            models=self.models,
            train_status=self.train_folder / "status.json",
            last_runs=self.last_runs,
            recall=self.recall,
            hot_swap=self.hot_swap,
            histories=self.histories,
            media_root=Path(self.settings.data_dir) / serving.media,
            clock_shift_s=self.settings.clock_shift_s,
            config=serving,
            metrics=metrics,
            authenticator=Authenticator(self.keys, self.clock, metrics) if guarded else None,
            media_signer=MediaSigner(self._secret_for("media"), self.clock) if guarded else None,
            fallback_rows=lambda asked: self.feed.allowed(asked, self.upkeep.board.everywhere(), self.clock.now())[: asked.count].tolist(),
        )

    def close(self) -> None:
        """Closes what was opened, the last first."""
        self._open.close()

    def _file(self, what: str, url: str, known: str = "file") -> Path:
        scheme, _, path = url.partition(":")
        if scheme != "file":
            raise ConfigError(f"no {what} for {scheme!r}; known: {known}")
        return Path(self.settings.data_dir) / path


def open_reelrank(settings: Settings, clock: Clock | None = None) -> Reelrank:
    """A deployment as `settings` describe it; nothing is opened before it is used."""
    return Reelrank(settings, clock)


@contextmanager
def scratch_reelrank(clock: Clock, settings: Settings | None = None) -> Iterator[Reelrank]:
    """A deployment in a temporary folder, in memory if there is room. One partition: many small folds, one after the other, gain nothing from several."""
    settings = settings or Settings(storage=StorageConfig(partitions=1))
    with tempfile.TemporaryDirectory(prefix="reelrank-scratch-", dir=quick_folder(), ignore_cleanup_errors=True) as folder:
        system = open_reelrank(msgspec.structs.replace(settings, data_dir=folder), clock)
        try:
            yield system
        finally:
            system.close()


@contextmanager
def scratch_stores(settings: Settings, folder: Path) -> Iterator[ScratchStores]:
    """Stores below `folder` to fold the past of a deployment into, cut as its own are; quick, because nothing in them has to survive."""
    storage = settings.storage
    numbers = count()

    @contextmanager
    def counters() -> Iterator[CounterStore]:
        store = CounterStore(folder / f"counters-{next(numbers)}", storage.partitions, durable=False)
        try:
            yield store
        finally:
            store.close()

    with ExitStack() as opened:
        users = EmbeddedOnlineStore(folder / "online", storage.partitions, storage.repeat_window, durable=False)
        opened.callback(users.close)
        signals = EmbeddedEventLog(folder / "signals", storage.partitions, durable=False)
        opened.callback(signals.close)
        spool = Spool(folder)
        opened.callback(spool.close)
        yield ScratchStores(users, signals, counters, spool)

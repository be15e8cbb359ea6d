"""What the HTTP service works with, and how it is set up."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from reelrank.candidates.recall_watch import RecallWatch
from reelrank.candidates.trending import TrendingBoard
from reelrank.domain.clock import Clock
from reelrank.events.collector import Collector
from reelrank.features.columns import VideoColumns
from reelrank.features.reader import FeatureReader
from reelrank.feed import Feed, FeedRequest
from reelrank.ranking.ranker_session import KeptHistories
from reelrank.serving.admission import Connections, Door
from reelrank.serving.auth import Authenticator, MediaSigner, is_loopback
from reelrank.serving.hot_swap import HotSwap
from reelrank.serving.telemetry import Metrics
from reelrank.storage.catalog import Catalog
from reelrank.storage.event_log import EventLog
from reelrank.storage.last_runs import LastRuns
from reelrank.storage.online_store import OnlineStore
from reelrank.storage.published import Published
from reelrank.storage.rule_store import RuleStore

ALWAYS_BATCHES = 8  # may wait however slow the disk is at the moment: they are written together
ALWAYS_FEEDS = 3  # per thread


class ServingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the HTTP service is set up."""

    host: str = "127.0.0.1"
    auth: Literal["auto", "on", "off"] = "auto"  # whether keys are asked for; auto: unless only this machine can reach the service
    hosts: str = ""  # names besides this machine's own that lead here, commas between them, where only it can reach the service and no key is asked for
    secret: str = ""  # what slates and files are signed with; without one it is made and kept next to the keys
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8000
    replica_port: Annotated[int, Meta(ge=0, le=65_535)] = 0  # of the first of several replicas, on loopback, the others follow; 0: the one after `port`
    media: str = "media"  # the folder of the videos' files; a relative path lies below data_dir
    max_compressed_bytes: Annotated[int, Meta(ge=1)] = 5_000_000  # of a body as it travels, when it is compressed
    max_body_bytes: Annotated[int, Meta(ge=1)] = 10_000_000  # of a body once it is unpacked
    event_threads: Annotated[int, Meta(ge=1)] = 4
    max_pending_batches: Annotated[int, Meta(ge=1)] = 64  # more of them at a time are told to come back
    max_pending_bytes: Annotated[int, Meta(ge=1)] = 64_000_000  # of bodies that are arriving or waiting
    feed_threads: Annotated[int, Meta(ge=1)] = 1  # Python runs one of them at a time: two take turns, and both are late
    max_pending_feeds: Annotated[int, Meta(ge=1)] = 64  # more of them at a time are told to come back
    max_wait_s: Annotated[float, Meta(gt=0)] = 0.2  # a batch or a feed that would wait longer is told to come back
    head_timeout_s: Annotated[float, Meta(gt=0)] = 10.0  # for the headers of a request to be there
    body_timeout_s: Annotated[float, Meta(gt=0)] = 15.0  # for a batch to be there
    max_connections: Annotated[int, Meta(ge=1)] = 2_000  # open at the same time
    refresh_s: Annotated[float, Meta(gt=0)] = 0.25  # how often the catalogue is looked at for changes
    shutdown_s: Annotated[float, Meta(ge=0)] = 5.0  # how long running requests may take to end
    drain_s: Annotated[float, Meta(ge=0)] = 2.0  # how long everything is still answered after SIGTERM, while /-/ready says no

    @property
    def guarded(self) -> bool:
        """Whether the service asks for keys."""
        return self.auth == "on" or (self.auth == "auto" and not is_loopback(self.host))


def _nothing(_asked: FeedRequest) -> Sequence[int]:
    return ()


@dataclass
class Services:
    """Everything the routes need, connected."""

    clock: Clock
    log: EventLog
    store: OnlineStore
    catalog: Catalog
    columns: VideoColumns
    reader: FeatureReader
    collector: Collector
    feed: Feed
    trending: TrendingBoard
    rules: RuleStore
    models: Sequence[Published[Any]] = ()  # that the feed works with
    train_status: Path | None = None  # the file in which the role train says what it is at
    last_runs: LastRuns | None = None  # what came of the last training of each model
    recall: RecallWatch | None = None  # looks up what live searches find
    hot_swap: HotSwap[Any] | None = None  # keeps the ranker at what was learned a moment ago
    histories: KeptHistories | None = None  # that the ranker has encoded
    media_root: Path | None = None
    clock_shift_s: float = 0.0  # how far `clock` runs ahead of the machine's
    config: ServingConfig = field(default_factory=ServingConfig)
    authenticator: Authenticator | None = None  # nobody is asked for a key without it
    media_signer: MediaSigner | None = None
    metrics: Metrics = field(default_factory=Metrics)
    fallback_rows: Callable[[FeedRequest], Sequence[int]] = _nothing  # at most as many videos as somebody asks for, to show when the feed itself fails
    draining: bool = False  # it ends soon: nothing new should come here, and what comes is answered

    @cached_property
    def event_threads(self) -> ThreadPoolExecutor:
        """Where batches wait for their fsync; those that wait together share one."""
        return ThreadPoolExecutor(self.config.event_threads, thread_name_prefix="events")

    @cached_property
    def feed_threads(self) -> ThreadPoolExecutor:
        """Where slates are made."""
        return ThreadPoolExecutor(self.config.feed_threads, thread_name_prefix="feed")

    @cached_property
    def event_door(self) -> Door:
        """Bounds the batches that are under way."""
        config = self.config
        return Door("events", config.max_pending_batches, config.max_wait_s, ALWAYS_BATCHES, config.max_pending_bytes)

    @cached_property
    def feed_door(self) -> Door:
        """Bounds the feeds that are under way."""
        return Door("feed", self.config.max_pending_feeds, self.config.max_wait_s, ALWAYS_FEEDS * self.config.feed_threads)

    @cached_property
    def connections(self) -> Connections:
        """Bounds the connections of the server."""
        return Connections(self.config.max_connections, self.config.head_timeout_s, self.config.body_timeout_s)

    def drain(self) -> None:
        """Tells whoever asks to go elsewhere from now on."""
        self.draining = True

    def stop(self) -> None:
        """Lets the threads finish what they are at."""
        if self.authenticator is not None:
            self.authenticator.close()
        self.event_threads.shutdown()
        self.feed_threads.shutdown()

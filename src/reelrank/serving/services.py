"""What the HTTP service works with, and how it is set up."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from reelrank.candidates.trending import TrendingBoard
from reelrank.domain.clock import Clock
from reelrank.events.collector import Collector
from reelrank.features.columns import VideoColumns
from reelrank.features.reader import FeatureReader
from reelrank.feed import Feed
from reelrank.serving.telemetry import Metrics
from reelrank.storage.catalog import Catalog
from reelrank.storage.event_log import EventLog
from reelrank.storage.online_store import OnlineStore


class ServingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the HTTP service is set up."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8000
    media: str = "media"  # the folder of the videos' files; a relative path lies below data_dir
    max_compressed_bytes: Annotated[int, Meta(ge=1)] = 5_000_000  # of a body as it travels, when it is compressed
    max_body_bytes: Annotated[int, Meta(ge=1)] = 10_000_000  # of a body once it is unpacked
    event_threads: Annotated[int, Meta(ge=1)] = 4
    max_pending_batches: Annotated[int, Meta(ge=1)] = 64  # more of them at a time are told to come back
    feed_threads: Annotated[int, Meta(ge=1)] = 2
    refresh_s: Annotated[float, Meta(gt=0)] = 0.25  # how often the catalogue is looked at for changes
    shutdown_s: Annotated[float, Meta(ge=0)] = 5.0  # how long running requests may take to end


def _nothing(_count: int) -> Sequence[int]:
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
    media_root: Path | None = None
    config: ServingConfig = field(default_factory=ServingConfig)
    metrics: Metrics = field(default_factory=Metrics)
    fallback_rows: Callable[[int], Sequence[int]] = _nothing  # at most so many videos to show when the feed itself fails

    @cached_property
    def event_threads(self) -> ThreadPoolExecutor:
        """Where batches wait for their fsync; those that wait together share one."""
        return ThreadPoolExecutor(self.config.event_threads, thread_name_prefix="events")

    @cached_property
    def feed_threads(self) -> ThreadPoolExecutor:
        """Where slates are made."""
        return ThreadPoolExecutor(self.config.feed_threads, thread_name_prefix="feed")

    def stop(self) -> None:
        """Lets the threads finish what they are at."""
        self.event_threads.shutdown()
        self.feed_threads.shutdown()

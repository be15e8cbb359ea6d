"""The two worlds a measurement can run in: files alone, or real servers that are started for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from reelrank.config import Settings, StorageConfig

if TYPE_CHECKING:
    from reelrank.benchmarks.local_kafka import LocalKafka
    from reelrank.benchmarks.local_postgresql import LocalPostgresql
    from reelrank.benchmarks.local_redis import LocalRedis

Backend = Literal["embedded", "servers"]


@dataclass(frozen=True, slots=True)
class Servers:
    """One of each, running."""

    kafka: "LocalKafka"
    redis: "LocalRedis"
    postgresql: "LocalPostgresql"

    @property
    def settings(self) -> Settings:
        """Settings whose storage they are."""
        return Settings(storage=StorageConfig(event_log=self.kafka.url, online_store=self.redis.url, catalog=self.postgresql.url))


@contextmanager
def local_servers(folder: Path, kafka_folder: Path | None = None) -> Iterator[Servers]:
    """Servers that keep their data below `folder` (the log's elsewhere, if you say so) and run inside the block. Raises ServerMissing."""
    # only here: whoever measures files needs none of what the servers are started with
    from reelrank.benchmarks.local_kafka import LocalKafka
    from reelrank.benchmarks.local_postgresql import LocalPostgresql
    from reelrank.benchmarks.local_redis import LocalRedis

    kafka = LocalKafka(kafka_folder or folder / "kafka")
    with kafka, LocalRedis(folder / "redis") as redis, LocalPostgresql(folder / "postgresql") as postgresql:
        yield Servers(kafka, redis, postgresql)


@contextmanager
def settings_for(backend: Backend, folder: Path) -> Iterator[Settings]:
    """Settings whose storage is `backend`; its servers keep their data below `folder` and run inside the block. Raises ServerMissing."""
    if backend == "embedded":
        yield Settings()
        return
    with local_servers(folder) as servers:
        yield servers.settings

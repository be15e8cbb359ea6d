"""The two worlds a measurement can run in: files alone, or real servers that are started for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from reelrank.config import Settings, StorageConfig

Backend = Literal["embedded", "servers"]


@contextmanager
def settings_for(backend: Backend, folder: Path) -> Iterator[Settings]:
    """Settings whose storage is `backend`; its servers keep their data below `folder` and run inside the block. Raises ServerMissing."""
    if backend == "embedded":
        yield Settings()
        return
    with servers_of_its_own(StorageConfig(), folder) as storage:
        yield Settings(storage=storage)


@contextmanager
def servers_of_its_own(storage: StorageConfig, folder: Path) -> Iterator[StorageConfig]:
    """`storage`, but in a Kafka, a Redis and a PostgreSQL that run inside the block, with their data below `folder`. Raises ServerMissing."""
    # only here: whoever measures files needs none of what the servers are started with
    from reelrank.benchmarks.local_kafka import LocalKafka
    from reelrank.benchmarks.local_postgresql import LocalPostgresql
    from reelrank.benchmarks.local_redis import LocalRedis

    with LocalKafka(folder / "kafka") as kafka, LocalRedis(folder / "redis") as redis, LocalPostgresql(folder / "postgresql") as postgresql:
        yield msgspec.structs.replace(storage, event_log=kafka.url, online_store=redis.url, catalog=postgresql.url)

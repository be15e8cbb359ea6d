"""The backends that each contract's tests run over, and how child processes are started."""

import os
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.catalog import Catalog
from reelrank.storage.catalog_postgresql import PostgresqlCatalog
from reelrank.storage.catalog_sqlite import SqliteCatalog
from reelrank.storage.event_log import EventLog
from reelrank.storage.event_log_embedded import EmbeddedEventLog
from reelrank.storage.event_log_kafka import KafkaEventLog
from reelrank.storage.event_log_kafka_config import KafkaConfig
from reelrank.storage.online_store import OnlineStore
from reelrank.storage.online_store_embedded import EmbeddedOnlineStore
from reelrank.storage.online_store_redis import RedisOnlineStore

Start = Callable[..., "subprocess.Popen[str]"]

KAFKA_SERVERS = "KAFKA_SERVERS"  # variable that tells child processes where the broker of this test session is


def kafka_log(path: Path, partitions: int) -> KafkaEventLog:
    """A log in the session's broker; another path is another log."""
    return KafkaEventLog(os.environ[KAFKA_SERVERS], partitions, KafkaConfig(topic_prefix=f"{zlib.crc32(str(path).encode()):08x}."))


EVENT_LOGS: dict[str, Callable[..., EventLog]] = {"embedded": EmbeddedEventLog, "kafka": kafka_log}
# A place is a path, or the URL of a server with a prefix of its own after '#'.
ONLINE_STORES: dict[str, Callable[..., OnlineStore]] = {
    "embedded": lambda place, *arguments, **options: EmbeddedOnlineStore(Path(place), *arguments, **options),
    "redis": lambda place, *arguments, **options: RedisOnlineStore(place.partition("#")[0], *arguments, prefix=place.partition("#")[2], **options),
}
ONLINE_STORES["redis_cluster"] = ONLINE_STORES["redis"]
CATALOGS: dict[str, Callable[[str], Catalog]] = {"sqlite": lambda place: SqliteCatalog(Path(place)), "postgresql": PostgresqlCatalog}
ARTIFACT_STORES: dict[str, Callable[..., ArtifactStore]] = {"folders": ArtifactStore}

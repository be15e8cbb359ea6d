"""The backends that each contract's tests run over, and how child processes are started."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.catalog import Catalog
from reelrank.storage.catalog_postgresql import PostgresqlCatalog
from reelrank.storage.catalog_sqlite import SqliteCatalog
from reelrank.storage.event_log import EventLog
from reelrank.storage.event_log_embedded import EmbeddedEventLog
from reelrank.storage.online_store import OnlineStore
from reelrank.storage.online_store_embedded import EmbeddedOnlineStore

Start = Callable[..., "subprocess.Popen[str]"]
WIDTH = 3  # of the counters in these tests

EVENT_LOGS: dict[str, Callable[..., EventLog]] = {"embedded": EmbeddedEventLog}
ONLINE_STORES: dict[str, Callable[..., OnlineStore]] = {"embedded": EmbeddedOnlineStore}
CATALOGS: dict[str, Callable[[str], Catalog]] = {"sqlite": lambda place: SqliteCatalog(Path(place)), "postgresql": PostgresqlCatalog}
ARTIFACT_STORES: dict[str, Callable[..., ArtifactStore]] = {"folders": ArtifactStore}

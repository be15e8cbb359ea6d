"""A collector over real stores, and its log to look into."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from events.desk import NOW, SECRET, Desk
from reelrank.domain.clock import ManualClock
from reelrank.events.collector import Collector
from reelrank.events.rights import SlateVerifier
from reelrank.features.columns import VideoColumns
from reelrank.storage.catalog_sqlite import SqliteCatalog
from reelrank.storage.event_log_embedded import EmbeddedEventLog


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    log, catalog, clock = EmbeddedEventLog(tmp_path / "log"), SqliteCatalog(tmp_path / "catalog.sqlite"), ManualClock(NOW)
    yield Desk(Collector(log, catalog, VideoColumns(catalog, tmp_path / "columns"), clock, SlateVerifier(SECRET)), log, catalog, clock)
    catalog.close()
    log.close()

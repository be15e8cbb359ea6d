"""A collector over real stores."""

from dataclasses import dataclass
from typing import Any

import msgspec

from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Accepted, decode_accepted
from reelrank.events.collector import Collector, Receipt
from reelrank.events.dead_letters import DeadLetter, read_all
from reelrank.events.rights import ALL_RIGHTS, Rights
from reelrank.events.validation import decode_batch
from reelrank.storage.catalog_sqlite import SqliteCatalog
from reelrank.storage.event_log import EVENTS
from reelrank.storage.event_log_embedded import EmbeddedEventLog

NOW = 1_700_000_000.0
SECRET = b"the secret of these tests"


@dataclass
class Desk:
    """A collector and what it works with."""

    collector: Collector
    log: EmbeddedEventLog
    catalog: SqliteCatalog
    clock: ManualClock

    def send(self, *events: dict[str, Any], rights: Rights = ALL_RIGHTS) -> Receipt:
        return self.collector.accept(decode_batch(msgspec.json.encode(events)), rights=rights)

    def stored(self) -> list[Accepted]:
        return [decode_accepted(record.value) for partition in range(self.log.partitions) for record in self.log.read(EVENTS, partition, 0, 10_000)]

    def letters(self) -> list[DeadLetter]:
        return list(read_all(self.log))

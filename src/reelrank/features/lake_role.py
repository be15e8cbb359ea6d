"""The lake role: attribution of the log's partitions, and next to it the copy of events and examples to the lake."""

import time
from collections.abc import Callable

from reelrank.domain.clock import Clock
from reelrank.events.lake_writer import LakeWriter
from reelrank.features.attribution import AttributionConfig
from reelrank.features.attributor import Attributor
from reelrank.features.columns import VideoColumns
from reelrank.features.side_by_side import SideBySide
from reelrank.storage.event_log import EventLog
from reelrank.storage.lake import Lake

_LOOK_S = 0.1  # how soon it stops when it is told to
_REPORT_S = 60.0


class LakeRole:
    """What `reelrank lake` runs."""

    def __init__(self, log: EventLog, columns: VideoColumns, lake: Lake, clock: Clock, config: AttributionConfig | None = None) -> None:
        self.attributor = Attributor(log, columns, config)
        self.writer = LakeWriter(log, lake, clock)

    def follow(self, stopping: Callable[[], bool], report: Callable[[dict[str, int]], None] = lambda _: None) -> None:
        """Works until `stopping` says so, and reports every minute. Each half has a thread: no commit delays an example. What ends one ends both."""
        halves = {"attributor": lambda ended: self.attributor.follow(ended.is_set), "writer": lambda ended: self.writer.follow(ended.is_set)}
        report_at = time.monotonic() + _REPORT_S
        with SideBySide(halves) as working:
            while not stopping() and not working.ended.wait(_LOOK_S):
                if time.monotonic() >= report_at:
                    report_at += _REPORT_S
                    report(self.done())

    def catch_up(self) -> int:
        """Attributes and copies everything to the end of the log as it is now; returns how many records that took."""
        return self.attributor.catch_up() + self.writer.catch_up()

    def done(self) -> dict[str, int]:
        """What was done since the process began."""
        return self.attributor.counts() | {f"copied_{topic}": count for topic, count in self.writer.copied.items()}

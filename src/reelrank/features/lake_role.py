"""The lake role: attribution of the log's partitions, and next to it the copy of events and examples to the lake."""

import threading
from collections.abc import Callable

from reelrank.domain.clock import Clock
from reelrank.events.lake_writer import LakeWriter
from reelrank.features.attribution import AttributionConfig
from reelrank.features.attributor import Attributor
from reelrank.features.columns import VideoColumns
from reelrank.storage.event_log import EventLog
from reelrank.storage.lake import Lake


class LakeRole:
    """What `reelrank lake` runs."""

    def __init__(self, log: EventLog, columns: VideoColumns, lake: Lake, clock: Clock, config: AttributionConfig | None = None) -> None:
        self.attributor = Attributor(log, columns, config)
        self.writer = LakeWriter(log, lake, clock)

    def follow(self, stopping: Callable[[], bool], on_progress: Callable[[dict[str, int]], None] | None = None) -> None:
        """Works until `stopping` says so. The writer has a thread of its own: no commit delays an example. What kills one of the two ends both."""
        failed: list[BaseException] = []
        ended = threading.Event()

        def write() -> None:
            try:
                self.writer.follow(lambda: stopping() or ended.is_set())
            except BaseException as problem:  # is raised again in the thread that asked for it
                failed.append(problem)

        thread = threading.Thread(target=write, name="lake-writer")
        thread.start()
        try:
            self.attributor.follow(lambda: stopping() or bool(failed) or (on_progress is not None and bool(on_progress(self.done()))))
        finally:
            ended.set()
            thread.join()
        if failed:
            raise failed[0]

    def catch_up(self) -> int:
        """Attributes and copies everything to the end of the log as it is now; returns how many records that took."""
        return self.attributor.catch_up() + self.writer.catch_up()

    def done(self) -> dict[str, int]:
        """What was done since the process began."""
        return self.attributor.counts() | {f"copied_{topic}": count for topic, count in self.writer.copied.items()}

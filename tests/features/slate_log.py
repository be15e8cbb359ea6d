"""A real log that slates and events are appended to, with the videos they are about."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from features.slates import VIDEOS, accepted, event, served
from reelrank.domain.event import Event, Impression, Like, Skip, Watch, encode_accepted
from reelrank.features.columns import VideoColumns
from reelrank.storage.catalog_sqlite import SqliteCatalog
from reelrank.storage.event_log import EVENTS, EventLog, Record, StorageError
from reelrank.storage.event_log_embedded import EmbeddedEventLog


class SlateLog(NamedTuple):
    """A log of two partitions, and a catalogue."""

    log: EmbeddedEventLog
    catalog: SqliteCatalog
    columns: VideoColumns

    def append(self, *events: Event) -> None:
        self.log.append(EVENTS, [Record(one.key, encode_accepted(accepted(one))) for one in events])

    def close(self) -> None:
        self.log.close()
        self.columns.close()
        self.catalog.close()


def open_slate_log(folder: Path) -> SlateLog:
    catalog = SqliteCatalog(folder / "catalog.sqlite")
    catalog.publish(list(VIDEOS.values()))
    return SlateLog(EmbeddedEventLog(folder / "log", 2), catalog, VideoColumns(catalog, folder / "columns"))


def visits(first: int, count: int, users: int = 20, seed: int = 0) -> list[Event]:
    """Slates, each with some of what may follow; some of it is told late, some twice. Event time goes on by 3 s a slate."""
    rng = np.random.default_rng([seed, first])
    events: list[Event] = []
    late: list[Event] = []
    for number in range(first, first + count):
        user, request, at = f"u{rng.integers(users)}", f"r{number}", number * 3.0
        told: list[Event] = [served(request, user, at)]
        for place in range(int(rng.integers(0, 4))):
            video = f"v{place}"
            about = {"request": request, "user": user}
            told.append(event(Impression, video, at + 1, **about))
            if rng.random() < 0.8:
                kind = Watch if rng.random() < 0.6 else Skip
                told.append(event(kind, video, at + 2 + place, **about, watched_s=float(rng.integers(0, 25))))
            if rng.random() < 0.3:
                (told if rng.random() < 0.5 else late).append(event(Like, video, at + 3, **about))
        events += told
        if rng.random() < 0.2:
            events += [events[int(rng.integers(len(events)))] for _ in range(3)]
    return events + late


class BreakingLog:
    """A real log whose `at`-th append from now puts only a part of the records in, and says that it failed: what a broker may do when it goes."""

    def __init__(self, log: EventLog, at: int, kept: float) -> None:
        self.partitions = log.partitions
        self.read, self.end, self.wait, self.join, self.close = log.read, log.end, log.wait, log.join, log.close
        self._log, self._left, self._kept = log, at, kept

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        self._left -= 1
        if self._left != 0:
            return self._log.append(topic, records)
        self._log.append(topic, records[: int(len(records) * self._kept)])
        raise StorageError("the log went away")

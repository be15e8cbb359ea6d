"""A small world of videos in real stores, and events that are folded into it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reelrank.benchmarks.refold import Records, everything_in
from reelrank.domain.event import Accepted, Event, encode_accepted
from reelrank.domain.user import User
from reelrank.domain.video import Video
from reelrank.features import windows
from reelrank.features.columns import VideoColumns
from reelrank.features.counter_fold import CounterFold
from reelrank.features.reader import FeatureReader
from reelrank.features.stream import Stream
from reelrank.features.user_fold import StreamConfig, UserFold
from reelrank.features.windows import Counter
from reelrank.storage.catalog_sqlite import SqliteCatalog
from reelrank.storage.counter_store import CounterStore, Kind
from reelrank.storage.event_log import EVENTS, Record
from reelrank.storage.event_log_embedded import EmbeddedEventLog
from reelrank.storage.online_store_embedded import EmbeddedOnlineStore

REPEAT_WINDOW = 1_000
NOW = 1_750_000_000.0
VIDEOS = [
    Video(
        video_id=f"v{number}",
        author_id=f"a{number % 2}",
        duration_s=10.0 + number,
        uploaded_at=NOW - 3_600,
        tags=("cats", "fun") if number == 0 else ("dogs",) if number < 4 else (),
        sound_id="song" if number < 3 else "",
        place="Rome" if number == 1 else "",
    )
    for number in range(5)
]


class World:
    """A catalogue with `VIDEOS`, a log with `partitions`, and a stream that folds it."""

    def __init__(self, folder: Path, partitions: int = 1, batch: int = 5_000, history: int = 256) -> None:
        self.catalog = SqliteCatalog(folder / "catalog.sqlite")
        self.catalog.publish(VIDEOS)
        self.catalog.name_rows("place", ["Rome", "Oslo"])
        self.catalog.name_rows("surface", ["for_you", "search"])  # whatever comes first, their numbers are 1 and 2
        self.log = EmbeddedEventLog(folder / "log", partitions)
        self.store = EmbeddedOnlineStore(folder / "online", partitions, durable=False)
        self.counters = CounterStore(folder / "counters", partitions, durable=False)
        self.columns = VideoColumns(self.catalog, folder / "columns")
        self.reader = FeatureReader(self.store, self.counters, self.columns)
        self.config = StreamConfig(batch=batch, history=history)
        self.users = UserFold(self.log, self.store, self.columns, REPEAT_WINDOW, self.config)
        self.stream = Stream(self.log, self.users, CounterFold(self.log, self.counters), self.counters, self.config)

    def append(self, *events: Event) -> None:
        """Puts events into the log as the collector would."""
        accepted = [Accepted(event, NOW, NOW if event.occurred_at is None else event.occurred_at) for event in events]
        self.log.append(EVENTS, [Record(one.event.key, encode_accepted(one)) for one in accepted])

    def see(self, *events: Event) -> None:
        """Puts events into the log and folds them."""
        self.append(*events)
        self.stream.catch_up()

    def user(self, user_id: str) -> User:
        return self.reader.user(user_id)

    def total(self, kind: Kind, key: int, counter: Counter) -> int:
        """What was ever counted of a key."""
        _, found = self.reader.scan(kind, key, key + 1)
        return int(windows.totals(found).sum(axis=0)[counter])

    def state(self) -> Records:
        """Everything that is folded, as bytes."""
        return everything_in(self.store, self.counters)

    def close(self) -> None:
        for part in (self.catalog, self.log, self.store, self.counters):
            part.close()


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def video_ids(found: Sequence[int] | np.ndarray) -> list[str]:
    return [VIDEOS[int(row)].video_id for row in found]

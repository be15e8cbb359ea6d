"""A whole deployment in one process, small enough that its answers are known."""

from collections.abc import Callable
from itertools import count

from conftest import NOW
from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Event, Impression, VideoPublished, Watch, decode_accepted
from reelrank.domain.video import Video
from reelrank.events.validation import Batch, Decoded
from reelrank.feed import FeedRequest
from reelrank.storage.event_log import EVENTS
from reelrank.wiring import Reelrank

TAGS = ("surf", "chess", "bread", "cats")
numbers = count()


class SmallApp:
    """Forty videos, ten under each tag, two authors a tag; events are folded as soon as they are told."""

    def __init__(self, open_system: Callable[..., Reelrank]) -> None:
        self.clock = ManualClock(NOW)
        self.system = open_system(self.clock)
        self.tell(*(VideoPublished(event_id=f"p{row}", video=self.video(row)) for row in range(40)))

    def video(self, row: int) -> Video:
        tag = row % 4
        return Video(
            video_id=f"v{row}",
            author_id=f"{TAGS[tag]}-{row // 4 % 2}",
            sound_id=f"s{row % 7}",
            tags=(TAGS[tag],),
            duration_s=10.0,
            uploaded_at=NOW - 3_600.0 * row,
        )

    def tell(self, *events: Event) -> None:
        receipt = self.system.collector.accept(Batch([Decoded(index, event) for index, event in enumerate(events)], []))
        assert not receipt.refused
        self.system.stream.catch_up()
        self.system.columns.refresh()

    def watches(self, user_id: str, *rows: int, watched_s: float = 10.0) -> None:
        for row in rows:
            video = {"user_id": user_id, "video_id": f"v{row}"}
            self.tell(Impression(event_id=f"e{next(numbers)}", **video), Watch(event_id=f"e{next(numbers)}", watched_s=watched_s, **video))

    def feed_of(self, user_id: str, size: int = 10, exploration: bool = False, seed: int = 1) -> list[str]:
        self.system.feed.refresh()
        slate = self.system.feed.recommend(FeedRequest(user_id=user_id, count=size, exploration=exploration, seed=seed), self.clock.now())
        return [self.system.columns.videos[place.row].video_id for place in slate.places]


def in_log(system: Reelrank) -> list[Event]:
    return [decode_accepted(record.value).event for partition in range(system.log.partitions) for record in system.log.read(EVENTS, partition, 0, 10_000)]

"""Exhaust: one person asks, watches everything they are shown and asks again, until there is nothing left that they have not seen."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from reelrank.benchmarks.percentiles import spread
from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Event, Impression, Like, Skip, VideoPublished, Watch
from reelrank.events.validation import Batch, Decoded
from reelrank.feed import FeedRequest
from reelrank.ranking.answered_slate import Slate
from reelrank.simulation.world import World
from reelrank.wiring import Reelrank, scratch_reelrank

_USER = "insatiable"
_AT_ONCE = 1_000  # events in a batch
_REFRESHED_EVERY = 100  # requests
_BETWEEN_S = 5.0  # from one request to the next: now and then a page is kept, mostly it is ranked anew


def measure(
    requests: int = 10_000, videos: int = 90_000, count: int = 10, seed: int = 0, on_progress: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """`requests` slates of `count`, all of whose videos are watched, skipped or liked before the next one is asked for, by the real stream."""
    now = 1_750_000_000.0
    clock = ManualClock(now)
    with scratch_reelrank(clock) as system:
        world = World.from_seed(seed, videos=videos, users=10, authors=max(2, videos // 20), now=now)
        _tell(system, [VideoPublished(event_id=f"p-{one.video_id}", occurred_at=one.uploaded_at, video=one) for one in world.videos])
        system.columns.refresh()
        seen, took_ms = set[str](), list[float]()
        shown = kept = emptied_at = 0
        because: dict[str, int] | None = None
        for number in range(1, requests + 1):
            if number % _REFRESHED_EVERY == 1:
                system.feed.refresh()
            clock.advance_to(clock.now() + _BETWEEN_S)
            began = time.thread_time()
            slate = system.feed.recommend(FeedRequest(user_id=_USER, count=count), clock.now())
            took_ms.append((time.thread_time() - began) * 1_000)
            names = [system.columns.videos[place.row].video_id for place in slate.places]
            seen.update(names)
            shown, kept = shown + len(names), kept + slate.kept
            if not names and not emptied_at:
                emptied_at, because = number, slate.empty_because
            _tell(system, _watched(slate, names, number))
            on_progress(1)
    asked = took_ms[: emptied_at - 1] if emptied_at else took_ms
    return {
        "requests": requests,
        "videos": videos,
        "shown": shown,
        "shown_again": shown - len(seen),
        "never_shown": videos - len(seen),
        "emptied_at": emptied_at or None,
        "empty_because": because,
        "from_a_kept_page": kept,
        "cpu_ms": {"first": spread(asked[: len(asked) // 10]), "last": spread(asked[-(len(asked) // 10) :]), "empty": spread(took_ms[len(asked) :])},
        "count": count,
        "seed": seed,
    }


def _watched(slate: Slate, names: Sequence[str], number: int) -> list[Event]:
    """What somebody does with a slate: they skip every third video, watch the others, and like the first of some slates."""
    events: list[Event] = []
    for position, name in enumerate(names):
        seen = {"user_id": _USER, "video_id": name, "occurred_at": slate.now, "request_id": slate.request_id, "position": position}
        events.append(Impression(event_id=f"i-{name}-{number}", **seen))
        ended = Skip if position % 3 == 2 else Watch
        events.append(ended(event_id=f"w-{name}-{number}", watched_s=1.0, **seen))
    if names and number % 10 == 0:
        events.append(Like(event_id=f"l-{names[0]}-{number}", user_id=_USER, video_id=names[0], occurred_at=slate.now, request_id=slate.request_id))
    return events


def _tell(system: Reelrank, events: Sequence[Event]) -> None:
    for start in range(0, len(events), _AT_ONCE):
        batch = [Decoded(index, event) for index, event in enumerate(events[start : start + _AT_ONCE])]
        refused = system.collector.accept(Batch(batch, [])).refused
        assert not refused, refused
        system.stream.catch_up()

"""Slates and what happens to them, made to order for attribution."""

from collections.abc import Callable
from typing import Any

from reelrank.domain.event import Accepted, Context, Event, Impression, Served, ServedVideo, Watch
from reelrank.domain.example import Example, decode_example
from reelrank.domain.video import Video
from reelrank.features.attribution import Attribution, AttributionConfig
from reelrank.features.definitions import WIDTH

NOW = 1_750_000_000.0
VIDEOS = {f"v{number}": Video(video_id=f"v{number}", author_id=f"a{number % 2}", duration_s=20.0, uploaded_at=NOW - 3_600) for number in range(8)}
FEATURES = tuple(place / 4 for place in range(WIDTH))


def served(request: str = "r", user: str = "u", at: float = 0.0, videos: tuple[str, ...] = ("v0", "v1", "v2"), event_id: str = "", **more: Any) -> Served:
    """A slate, `at` seconds after NOW."""
    places = tuple(
        ServedVideo(video_id=video, sources=("fresh",), score=0.5, predictions={"click": 0.25}, features=FEATURES, propensity=0.5, reason="best")
        for video in videos
    )
    context = Context(device="phone", place="Rome", network="4g", bandwidth_kbps=900, local_hour=7)
    return Served(
        event_id=event_id or request,
        request_id=request,
        user_id=user,
        occurred_at=NOW + at,
        policy="by_hand",
        params="p1",
        context=context,
        videos=places,
        **more,
    )


def event(kind: Callable[..., Event], video: str = "v0", at: float = 1.0, request: str = "r", user: str = "u", event_id: str = "", **more: Any) -> Event:
    """Something that happens to a place of a slate, `at` seconds after NOW."""
    return kind(
        event_id=event_id or f"{getattr(kind, '__name__', kind)}-{request}-{video}-{at}",
        request_id=request,
        user_id=user,
        occurred_at=NOW + at,
        video_id=video,
        **more,
    )


def clock(at: float) -> Event:
    """Nothing but a later event: time goes on."""
    return Impression(event_id=f"clock-{at}", user_id="somebody", occurred_at=NOW + at, video_id="v7")


def watched(video: str = "v0", at: float = 5.0, watched_s: float = 4.0, **more: Any) -> Event:
    return event(Watch, video, at, watched_s=watched_s, **more)


def accepted(event: Event) -> Accepted:
    assert event.occurred_at is not None
    return Accepted(event, received_at=event.occurred_at, occurred_at=event.occurred_at)


class Desk:
    """Attribution of a partition, and what it made."""

    def __init__(self, resumed_at: Example | None = None, first: int = 0, **config: Any) -> None:
        self.attribution = Attribution(0, AttributionConfig(**config), VIDEOS.get, resumed_at)
        self.offset = first

    def fold(self, *events: Event) -> None:
        for one in events:
            self.attribution.fold(self.offset, accepted(one))
            self.offset += 1

    def see(self, *events: Event) -> list[Example]:
        """Folds events; the examples that this made, without records of progress."""
        self.fold(*events)
        return [made for made in self.everything() if made.kind != "progress"]

    def everything(self) -> list[Example]:
        """What was made since it was last asked for."""
        made = [decode_example(one) for one in self.attribution.made]
        self.attribution.made.clear()
        return made


def newest(examples: list[Example]) -> dict[tuple[str, str], Example]:
    """Of each example the record that holds."""
    found: dict[tuple[str, str], Example] = {}
    for one in examples:
        key = one.slate.user_id, one.example_id
        if key not in found or one.version > found[key].version:
            found[key] = one
    return found

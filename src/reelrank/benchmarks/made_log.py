"""A log made to order: what very many people did, drawn by Zipf's law, without simulating each of them."""

from collections.abc import Iterator

import numpy as np

from reelrank.domain.event import Accepted, Comment, Context, Event, Follow, Impression, Like, Served, ServedVideo, Share, Skip, Watch, encode_accepted
from reelrank.domain.video import Video
from reelrank.features.definitions import FEATURES
from reelrank.storage.event_log import Record

_SLATE = 10
_PLACES = ("Berlin", "Jakarta", "Lagos", "Lima", "Oslo", "Rome", "Tokyo", "")
_NETWORKS = ("wifi", "4g", "5g", "3g")
_HEIGHTS = (360, 540, 720, 1080)


def made_videos(count: int, now: float, seed: int = 0) -> list[Video]:
    """Videos of a platform: an author for ten of them, a sound for five, one to four of a thousand tags."""
    rng = np.random.default_rng(seed)
    return [
        Video(
            video_id=f"v{number}",
            author_id=f"a{rng.integers(max(1, count // 10))}",
            duration_s=round(float(rng.uniform(5, 60)), 1),
            uploaded_at=now - float(rng.uniform(0, 30 * 86_400)),
            tags=tuple(sorted({f"t{tag}" for tag in rng.integers(1_000, size=rng.integers(1, 5))})),
            sound_id=f"s{rng.integers(max(1, count // 5))}",
        )
        for number in range(count)
    ]


def zipf(rng: np.random.Generator, count: int, size: int, exponent: float = 1.0) -> np.ndarray:
    """`size` draws from 0 … count - 1 whose probabilities fall with their rank to the power of `exponent`."""
    weights = 1.0 / np.arange(1, count + 1) ** exponent
    return np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(size))


def made_events(events: int, users: int, videos: list[Video], now: float, over_s: float = 86_400.0, seed: int = 0) -> Iterator[Event]:
    """So many events of users drawn by Zipf 1.0: slates, impressions, watches, skips and what people do with videos, in order of time."""
    rng = np.random.default_rng(seed)
    made = 0
    slates = events // (2 * _SLATE) + 1
    who = zipf(rng, users, slates)
    features = rng.normal(size=(64, len(FEATURES))).astype(np.float32)
    for number in range(slates):
        at = now - over_s + over_s * number / slates
        user_id = f"u{who[number]}"
        context = Context(
            device="phone",
            place=_PLACES[who[number] % len(_PLACES)],
            network=_NETWORKS[number % 4],
            bandwidth_kbps=int(rng.integers(500, 50_000)),
            local_hour=int(at // 3600 % 24),
        )
        request_id = f"r{seed}-{number}"
        shown = [videos[row] for row in zipf(rng, len(videos), _SLATE)]
        slate = tuple(
            ServedVideo(
                video_id=video.video_id,
                sources=("trending",),
                score=0.5,
                predictions={"click": 0.5, "long_view": 0.3, "like": 0.02},
                features=tuple(features[place].tolist()),
                propensity=0.9,
            )
            for place, video in enumerate(shown)
        )
        for event in _visit(user_id, context, request_id, shown, slate, at, rng):
            if made == events:
                return
            made += 1
            yield event


def _visit(
    user_id: str, context: Context, request_id: str, shown: list[Video], slate: tuple[ServedVideo, ...], at: float, rng: np.random.Generator
) -> Iterator[Event]:
    """A slate, and what somebody did with it."""
    yield Served(event_id=request_id, user_id=user_id, occurred_at=at, context=context, request_id=request_id, policy="made", videos=slate)
    chance, share = rng.random((len(shown), 6)), rng.random(len(shown))
    for position, video in enumerate(shown):
        name = f"{request_id}.{position}"
        about = {"user_id": user_id, "context": context, "request_id": request_id, "video_id": video.video_id, "position": position}
        yield Impression(event_id=f"{name}i", occurred_at=at, **about)
        at += 1.0 + float(share[position]) * 10
        if chance[position, 0] < 0.4:
            yield Skip(event_id=f"{name}w", occurred_at=at, watched_s=round(float(share[position]) * 2, 1), **about)
            continue
        watched_s = round(float(share[position]) * 1.2 * video.duration_s, 1)
        yield Watch(
            event_id=f"{name}w",
            occurred_at=at,
            watched_s=watched_s,
            replays=int(chance[position, 1] < 0.05),
            stalled_s=0.4 if chance[position, 1] > 0.9 else 0.0,
            rendition=_HEIGHTS[position % 4],
            **about,
        )
        if chance[position, 2] < 0.06:
            yield Like(event_id=f"{name}l", occurred_at=at, **about)
        if chance[position, 3] < 0.01:
            yield Share(event_id=f"{name}s", occurred_at=at, channel="link", **about)
        if chance[position, 4] < 0.01:
            yield Comment(event_id=f"{name}c", occurred_at=at, text="ha", **about)
        if chance[position, 5] < 0.005:
            yield Follow(event_id=f"{name}f", occurred_at=at, user_id=user_id, context=context, request_id=request_id, author_id=video.author_id)


def as_records(events: Iterator[Event], received_at: float) -> Iterator[Record]:
    """The events as the collector would have written them."""
    for event in events:
        occurred_at = event.occurred_at if event.occurred_at is not None else received_at
        yield Record(event.key, encode_accepted(Accepted(event, received_at, occurred_at)))

"""A log made to order: what very many people did, as often as Zipf's law says, without simulating each of them."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.event import Accepted, Comment, Context, Event, Follow, Impression, Like, Served, ServedVideo, Share, Skip, Watch, encode_accepted
from reelrank.domain.video import Video
from reelrank.features.definitions import FEATURES
from reelrank.storage.catalog import Catalog
from reelrank.storage.event_log import Record

PLACES = ("Berlin", "Jakarta", "Lagos", "Lima", "Oslo", "Rome", "Tokyo", "")
_SLATE = 10
_PUBLISHED_AT_ONCE = 1_000
_VISIT = 2 * _SLATE  # events, at most: a slate and what came of it
_NETWORKS = ("wifi", "4g", "5g", "3g")
_HEIGHTS = (360, 540, 720, 1080)
_PREDICTIONS = {"click": 0.5, "long_view": 0.3, "like": 0.02}


def made_videos(videos: int, now: float, seed: int = 0) -> list[Video]:
    """Videos of a platform: an author for ten of them, a sound for five, one to four of a thousand tags."""
    rng = np.random.default_rng(seed)
    return [
        Video(
            video_id=f"v{number}",
            author_id=f"a{rng.integers(max(1, videos // 10))}",
            duration_s=round(float(rng.uniform(5, 60)), 1),
            uploaded_at=now - float(rng.uniform(0, 30 * 86_400)),
            tags=tuple(sorted({f"t{tag}" for tag in rng.integers(1_000, size=rng.integers(1, 5))})),
            sound_id=f"s{rng.integers(max(1, videos // 5))}",
        )
        for number in range(videos)
    ]


def publish(catalog: Catalog, videos: Sequence[Video]) -> None:
    """Fills a catalogue without going through the collector."""
    for start in range(0, len(videos), _PUBLISHED_AT_ONCE):
        catalog.publish(videos[start : start + _PUBLISHED_AT_ONCE])


def shares(ranks: int, exponent: float = 1.0) -> NDArray[np.float64]:
    """What Zipf's law gives to each of so many, the first rank first; together 1."""
    weights = 1.0 / np.arange(1, ranks + 1) ** exponent
    return weights / weights.sum()


def events_each(events: int, users: int) -> NDArray[np.int64]:
    """How many of the events each user makes: one at least, the others by Zipf 1.0."""
    if users > events:
        raise ValueError(f"{events} events are too few for {users} users to make one each")
    rest = events - users
    each = 1 + np.floor(rest * shares(users)).astype(np.int64)
    each[: events - int(each.sum())] += 1
    return each


def made_events(events: int, users: int, videos: list[Video], now: float, over_s: float = 86_400.0, seed: int = 0) -> Iterator[Event]:
    """So many events of just so many users, in order of time: slates, impressions, watches, skips and what people do with videos.

    A user's events come in visits of up to 20, and the visits of all users are mixed over the time.
    """
    rng = np.random.default_rng(seed)
    each = events_each(events, users)
    sizes = np.concatenate([np.full(int((each // _VISIT).sum()), _VISIT), each[each % _VISIT > 0] % _VISIT])
    who = np.concatenate([np.repeat(np.arange(users), each // _VISIT), np.flatnonzero(each % _VISIT)])
    order = rng.permutation(len(who))
    seen = np.cumsum(shares(len(videos)))
    visits = Visits(rng)
    under_way: list[tuple[float, int, Event]] = []  # of visits that have begun, the next event first
    tie = count()
    for number, (user, size) in enumerate(zip(who[order].tolist(), sizes[order].tolist(), strict=True)):
        at = now - over_s + over_s * number / len(order)
        while under_way and under_way[0][0] <= at:
            yield heapq.heappop(under_way)[2]
        shown = [videos[row] for row in np.searchsorted(seen, rng.random(_SLATE)).tolist()]
        for event in visits.made(f"u{user}", user, f"r{seed}-{number}", shown, at, size):
            heapq.heappush(under_way, (event.occurred_at or at, next(tie), event))
    while under_way:
        yield heapq.heappop(under_way)[2]


class Visits:
    """Makes visits: a slate, and what somebody did with it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._features = [tuple(row) for row in rng.normal(size=(64, len(FEATURES))).astype(np.float32).tolist()]

    def made(self, user_id: str, user: int, request_id: str, shown: Sequence[Video], at: float, size: int | None = None) -> list[Event]:
        """The first `size` events of a visit, or all; `user` decides where and how somebody watches."""
        rng = self._rng
        context = Context(
            device="phone",
            place=PLACES[user % len(PLACES)],
            network=_NETWORKS[user % 4],
            bandwidth_kbps=500 + user * 7919 % 49_500,
            local_hour=int(at // 3600 % 24),
        )
        slate = tuple(
            ServedVideo(
                video_id=video.video_id,
                sources=("trending",),
                score=0.5,
                predictions=_PREDICTIONS,
                features=self._features[(user + place) % len(self._features)],
                propensity=0.9,
            )
            for place, video in enumerate(shown)
        )
        events: list[Event] = [
            Served(event_id=request_id, user_id=user_id, occurred_at=at, context=context, request_id=request_id, policy="made", videos=slate)
        ]
        chances, parts = rng.random((len(shown), 6)).tolist(), rng.random(len(shown)).tolist()
        for position, (video, chance, part) in enumerate(zip(shown, chances, parts, strict=True)):
            if size is not None and len(events) >= size:
                break
            name = f"{request_id}.{position}"
            about = {"user_id": user_id, "context": context, "request_id": request_id, "video_id": video.video_id, "position": position}
            events.append(Impression(event_id=f"{name}i", occurred_at=at, **about))
            at += 1.0 + part * 10
            if chance[0] < 0.4:
                events.append(Skip(event_id=f"{name}w", occurred_at=at, watched_s=round(part * 2, 1), **about))
                continue
            events.append(
                Watch(
                    event_id=f"{name}w",
                    occurred_at=at,
                    watched_s=round(part * 1.2 * video.duration_s, 1),
                    replays=int(chance[1] < 0.05),
                    stalled_s=0.4 if chance[1] > 0.9 else 0.0,
                    rendition=_HEIGHTS[position % 4],
                    **about,
                )
            )
            if chance[2] < 0.06:
                events.append(Like(event_id=f"{name}l", occurred_at=at, **about))
            if chance[3] < 0.01:
                events.append(Share(event_id=f"{name}s", occurred_at=at, channel="link", **about))
            if chance[4] < 0.01:
                events.append(Comment(event_id=f"{name}c", occurred_at=at, text="ha", **about))
            if chance[5] < 0.005:
                events.append(Follow(event_id=f"{name}f", occurred_at=at, user_id=user_id, context=context, request_id=request_id, author_id=video.author_id))
        return events[:size]


def as_records(events: Iterable[Event], received_at: float) -> Iterator[Record]:
    """The events as the collector would have written them."""
    for event in events:
        occurred_at = event.occurred_at if event.occurred_at is not None else received_at
        yield Record(event.key, encode_accepted(Accepted(event, received_at, occurred_at)))

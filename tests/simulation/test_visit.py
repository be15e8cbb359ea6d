"""A visit: what is watched, posted and when it ends."""

import json
import math
from typing import Any, cast

import numpy as np
import pytest

from reelrank.domain.event import Event, Follow, Impression, Like, Skip, Watch
from reelrank.simulation.behavior import Person, Reaction
from reelrank.simulation.client import FeedClient
from reelrank.simulation.visit import Visit, events_of
from reelrank.simulation.world import World

NOW = 1_760_000_000.0


class _Feed:
    """The service's two answers that a visit needs, from a world's videos in order, without a network."""

    def __init__(self, world: World) -> None:
        self.world, self.posted, self.seen_when_asked = world, list[Event](), list[int]()

    def feed(self, user_id: str, count: int = 10, **_: object) -> dict[str, Any]:
        self.seen_when_asked.append(sum(isinstance(event, Impression) for event in self.posted))
        start = self.seen_when_asked[-1]
        known = ("video_id", "author_id", "duration_s", "uploaded_at", "tags")
        page = enumerate(self.world.videos[start : start + count])
        videos = [{"position": position, **{name: getattr(video, name) for name in known}} for position, video in page]
        return json.loads(json.dumps({"request_id": f"{user_id}-{start}", "now": NOW, "videos": videos}))

    def post_events(self, events: list[Event]) -> dict[str, Any]:
        self.posted += events
        return {"accepted": len(events), "repeated": 0, "refused": []}


@pytest.fixture(scope="module")
def world() -> World:
    return World.from_seed(5, videos=80, users=30, now=NOW)


def _visit(world: World, feed: _Feed, person: int = 0, **how: Any) -> Visit:
    return Visit(Person(world.people[person]), cast(FeedClient, feed), world.traits, np.random.default_rng(1), "visit-1", **how)


def test_a_visit_watches_in_order_and_posts_before_it_asks_again(world: World):
    feed = _Feed(world)
    summary = _visit(world, feed).run(at_most=25)
    shown = [event.video_id for event in feed.posted if isinstance(event, Impression)]
    assert shown == [video.video_id for video in world.videos[: summary.videos]]
    assert feed.seen_when_asked == [10 * asked for asked in range(summary.requests)]
    assert sum(isinstance(event, Watch | Skip) for event in feed.posted) == summary.videos
    assert len({event.event_id for event in feed.posted}) == len(feed.posted)
    assert 0 < summary.interest < 1


def test_a_visit_ends_with_the_patience_and_with_the_videos(world: World):
    lengths = [_visit(world, _Feed(world), person).run(at_most=500).videos for person in range(10)]
    assert len(set(lengths)) > 3
    empty = _Feed(World.from_seed(5, videos=0, users=30, now=NOW))
    summary = _visit(world, empty).run()
    assert (summary.videos, summary.requests) == (0, 1)
    assert math.isnan(summary.interest)


def test_at_speed_one_a_visit_takes_its_time_and_at_infinity_none(world: World):
    waited: list[float] = []
    slow = _Feed(world)
    summary = _visit(world, slow, speed=1.0, wait=waited.append).run(at_most=8)
    assert sum(waited) == pytest.approx(summary.watched_s)
    assert (slow.posted[-1].occurred_at or 0.0) >= NOW + summary.watched_s - 0.01
    quick = _Feed(world)
    _visit(world, quick).run(at_most=8)
    times = [event.occurred_at or 0.0 for event in quick.posted]
    assert times == sorted(times)
    assert times[-1] < NOW + 1


def test_a_video_from_elsewhere_is_watched_too(world: World):
    elsewhere = _Feed(World.from_seed(99, videos=40, users=1, now=NOW))
    assert _visit(world, elsewhere).run(at_most=5).videos > 0


def test_events_tell_what_was_done_and_when():
    reaction = Reaction(watched_s=6.0, replays=1, skipped=False, liked=True, shared=False, followed=True, commented=False, hidden=False)
    events = events_of(reaction, "ines", "v1", "mara", 100.0, "e", position=3, request_id="r1")
    assert [type(event) for event in events] == [Impression, Like, Follow, Watch]
    seen, liked, followed, left = events
    assert isinstance(followed, Follow)
    assert isinstance(left, Watch)
    assert (seen.occurred_at, liked.occurred_at, left.occurred_at) == (100.0, 104.8, 106.0)
    assert (followed.author_id, followed.video_id) == ("mara", "v1")
    assert (left.watched_s, left.replays, left.position, left.request_id) == (6.0, 1, 3, "r1")
    skipped = events_of(reaction._replace(skipped=True, liked=False, followed=False), "ines", "v1", "mara", 100.0, "e")
    assert [type(event) for event in skipped] == [Impression, Skip]

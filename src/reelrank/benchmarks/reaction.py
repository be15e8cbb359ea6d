"""A like changes the next feed: how many milliseconds from the finger to the first slate that shows it."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reelrank.benchmarks.made_visits import past_of, renamed
from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.scratch import Scratch, scratch_system
from reelrank.config import Settings
from reelrank.domain.event import Event, Like
from reelrank.domain.params import FeedParams
from reelrank.domain.video import Video
from reelrank.simulation.past import past_events
from reelrank.simulation.world import World

COUNT = 20  # videos in the slates that are compared
GIVE_UP_S = 5.0
_PAST_EVENTS = 8_000
_WATCHED = 15  # videos in the past of each twin
_TOP = 4  # what stands among the first so many has little way to go
_NO_CAP = 10_000


@dataclass(frozen=True, slots=True)
class Trial:
    """One pair of twins. A like that did not show within GIVE_UP_S is counted as if it had shown then."""

    ms: float
    changed: bool
    polls: int
    equal_before: bool


@dataclass(frozen=True, slots=True)
class _Twins:
    """Two users nobody has heard of before, with the same past to the millisecond; one will like one of the videos they watched and did not like yet."""

    eager: str
    calm: str
    past: list[Event]
    watched: list[Video]


def measure(trials: int = 200, videos: int = 300, users: int = 400, seed: int = 0, on_progress: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """Pairs of twins with the same past; one of them likes a video, and both feeds are asked for until they differ as they should."""
    rng = np.random.default_rng(seed)
    now = time.time()
    world = World.from_seed(seed, videos=videos, users=users, authors=max(2, videos // 5), now=now)
    # what was served a moment ago may be served again, and is one of no number: then a feed is a function of what its user did, and twins compare
    settings = Settings(params=FeedParams(served_again_after_s=0.0, visit_cap_author=_NO_CAP, visit_cap_sound=_NO_CAP, visit_cap_tag=_NO_CAP))
    with scratch_system(settings) as system:
        system.publish(list(world.videos))
        past = past_events(world, rng, now, events=_PAST_EVENTS, days=1.0)
        system.client.post_events(past)
        twins = [_twins(world, trial, now, rng) for trial in range(trials)]
        system.client.post_events([event for pair in twins for event in pair.past])
        system.wait_folded()
        index = system.inside.index_builder.build()
        _wait_for_index(system, twins[0].eager)
        done: list[Trial] = []
        for number, pair in enumerate(twins):
            done.append(_trial(system, pair, number))
            on_progress(1)
    return {
        "trials": len(done),
        "unchanged": sum(not trial.changed for trial in done),
        "equal_before": sum(trial.equal_before for trial in done),
        "like_to_feed_ms": spread([trial.ms for trial in done]),
        "polls": {"mean": round(float(np.mean([trial.polls for trial in done])), 2), "max": max(trial.polls for trial in done)},
        "videos": videos,
        "users": users,
        "past_events": len(past),
        "count": COUNT,
        "seed": seed,
        "index": index,
        "give_up_s": GIVE_UP_S,
    }


def _twins(world: World, trial: int, now: float, rng: np.random.Generator) -> _Twins:
    videos = rng.choice(len(world.videos), size=_WATCHED, replace=False).tolist()
    past = list(past_of(world, world.people[trial % len(world.people)], videos, now - 5.0, rng, f"twins.{trial}"))
    eager, calm = f"eager-{trial}", f"calm-{trial}"
    liked = {event.video_id for event in past if isinstance(event, Like)}
    watched = [world.videos[place] for place in videos if world.videos[place].video_id not in liked]
    return _Twins(eager, calm, renamed(past, eager) + renamed(past, calm), watched)


def _trial(system: Scratch, twins: _Twins, number: int) -> Trial:
    client = system.client

    def slate(user_id: str) -> list[dict[str, Any]]:
        return client.feed(user_id, COUNT, seed=number, exploration="off")["videos"]

    before, calm_before = slate(twins.eager), slate(twins.calm)
    equal_before = [video["video_id"] for video in before] == [video["video_id"] for video in calm_before]
    # of what both have watched, the one with the most of its kind further down: there has to be room to rise
    liked = max(twins.watched, key=lambda video: standing(before[_TOP:], video))
    body = [Like(event_id=f"like-{number}", user_id=twins.eager, video_id=liked.video_id)]
    began = time.perf_counter()
    client.post_events(body)
    polls, took_s = 0, 0.0
    while took_s < GIVE_UP_S:
        mine = slate(twins.eager)
        took_s = time.perf_counter() - began
        polls += 1
        if standing(mine, liked) > standing(slate(twins.calm), liked) + 1e-9:
            return Trial(took_s * 1000, True, polls, equal_before)
    return Trial(GIVE_UP_S * 1000, False, polls, equal_before)


def standing(videos: list[dict[str, Any]], liked: Video) -> float:
    """How high the other videos with a tag or the author of `liked` stand: each is worth 1 at the top, less further down."""
    return sum(
        1 / math.log2(video["position"] + 2)
        for video in videos
        if video["video_id"] != liked.video_id and (video["author_id"] == liked.author_id or not set(liked.tags).isdisjoint(video["tags"]))
    )


def _wait_for_index(system: Scratch, user_id: str, within_s: float = 10.0) -> None:
    """Until the feed has picked up the index: trials shall not see it change under their hands."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if any("co_watched" in video["sources"] for video in system.client.feed(user_id, COUNT, exploration="off")["videos"]):
            return
        time.sleep(0.05)

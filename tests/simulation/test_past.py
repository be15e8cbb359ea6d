"""The week before a world opens."""

import msgspec
import numpy as np
import pytest

from reelrank.domain.event import Event, Follow, Impression, Like, Skip, Watch
from reelrank.simulation.past import past_events
from reelrank.simulation.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return World.from_seed(11, videos=120, users=400)


@pytest.fixture(scope="module")
def past(world: World) -> list[Event]:
    return past_events(world, np.random.default_rng(1), until=world.now, events=12_000)


def test_the_past_is_about_as_long_as_asked_and_lies_in_the_last_days(world: World, past: list[Event]):
    assert 9_000 < len(past) < 15_000
    times = [event.occurred_at or 0.0 for event in past]
    assert times == sorted(times)
    assert world.now - 7 * 86_400 <= times[0]
    assert times[-1] <= world.now


def test_the_past_is_the_same_for_the_same_seed(world: World, past: list[Event]):
    assert past == past_events(world, np.random.default_rng(1), until=world.now, events=12_000)
    assert past != past_events(world, np.random.default_rng(2), until=world.now, events=12_000)


def test_every_event_id_is_used_once_and_every_event_passes_the_collectors_schema(past: list[Event]):
    assert len({event.event_id for event in past}) == len(past)
    assert msgspec.json.decode(msgspec.json.encode(past), type=list[Event]) == past


def test_nobody_sees_a_video_twice_or_before_it_was_uploaded(world: World, past: list[Event]):
    seen = [(event.user_id, event.video_id) for event in past if isinstance(event, Impression)]
    assert len(set(seen)) == len(seen)
    for event in past:
        if isinstance(event, Impression):
            assert (event.occurred_at or 0.0) >= world.traits[event.video_id].uploaded_at - 0.001


def test_everybody_watches_one_video_after_the_other(past: list[Event]):
    left: dict[str, float] = {}
    for event in past:
        if isinstance(event, Impression):
            assert (event.occurred_at or 0.0) >= left.get(event.user_id, 0.0) - 0.001
        elif isinstance(event, Watch | Skip):
            left[event.user_id] = event.occurred_at or 0.0


def test_each_impression_is_left_by_a_watch_or_a_skip_and_an_author_followed_once(past: list[Event]):
    shown = {(event.user_id, event.video_id) for event in past if isinstance(event, Impression)}
    left = [(event.user_id, event.video_id) for event in past if isinstance(event, Watch | Skip)]
    assert len(left) == len(set(left))
    assert set(left) == shown
    assert {(event.user_id, event.video_id) for event in past if isinstance(event, Like)} <= shown
    follows = [(event.user_id, event.author_id) for event in past if isinstance(event, Follow)]
    assert follows
    assert len(follows) == len(set(follows))


def test_people_watch_longer_what_meets_their_hidden_taste(world: World, past: list[Event]):
    people = {person.user_id: person for person in world.people}
    watched = [event for event in past if isinstance(event, Watch | Skip)]
    meets = np.array([np.max(people[event.user_id].tastes @ world.traits[event.video_id].latent) for event in watched])
    share = np.array([event.watched_s / world.traits[event.video_id].duration_s for event in watched])
    assert np.corrcoef(meets, share)[0, 1] > 0.2

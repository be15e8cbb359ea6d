"""A visit made to order: what one person of a generated world does with chosen videos, under any name."""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from reelrank.domain.event import Event
from reelrank.simulation.behavior import Person
from reelrank.simulation.visit import events_of
from reelrank.simulation.world import PersonTraits, World


def past_of(world: World, traits: PersonTraits, videos: Sequence[int], until: float, rng: np.random.Generator, prefix: str) -> Iterator[Event]:
    """What somebody did with the videos at these places of the world, one after the other, the last one over just before `until` (UTC seconds)."""
    person = Person(traits)
    watched = []
    for position, place in enumerate(videos):
        video = world.videos[place]
        watched.append((video, person.react(world.traits[video.video_id], position, until, rng)))
    at = until - sum(reaction.watched_s + 1.0 for _, reaction in watched)
    for number, (video, reaction) in enumerate(watched):
        yield from events_of(reaction, traits.user_id, video.video_id, video.author_id, at, f"{prefix}.{number}")
        at += reaction.watched_s + 1.0


def renamed(events: Sequence[Event], user_id: str) -> list[Event]:
    """The same events, done by somebody else."""
    return [msgspec.structs.replace(event, user_id=user_id, event_id=f"{user_id}.{event.event_id}") for event in events]

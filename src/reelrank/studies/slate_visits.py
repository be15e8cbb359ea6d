"""Simulated people visit a feed whose slates are put together in one way or another: how long they stay, and how much it holds them."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from reelrank.config import Settings, StorageConfig
from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Event, VideoPublished
from reelrank.domain.params import FeedParams
from reelrank.evaluation import slate as measures
from reelrank.events.validation import Batch, Decoded
from reelrank.feed import FeedRequest
from reelrank.ranking.diversity import Diversity
from reelrank.ranking.likeness import Likeness
from reelrank.ranking.selectors import SlateSelector
from reelrank.simulation.behavior import Person
from reelrank.simulation.past import past_events
from reelrank.simulation.visit import events_of
from reelrank.simulation.world import DEMO_NOW, World
from reelrank.wiring import Reelrank, scratch_reelrank

COUNT = 10  # places of a slate
AT_MOST = 40  # videos of a visit
_TOLD_AT_ONCE = 1_000


class Visits(msgspec.Struct, frozen=True):
    """How many people of which worlds visit, and what was there before."""

    people: int = 80  # of each world
    seeds: tuple[int, ...] = (7, 8)
    videos: int = 600
    users: int = 400
    past: int = 20_000  # events


def visits(size: Visits, params: FeedParams, diversity: Diversity, on_progress: Callable[[int], None] = lambda _: None) -> dict[str, float]:
    """The means over visits to a feed with `params`. Equal sizes make equal worlds, pasts and people: what differs is the slates' doing.

    `interest_error` is the standard error of that mean. `on_progress` is told how many more people have visited.
    """
    found: list[tuple[float, ...]] = []
    worlds = [_world_visits(size, seed, params, diversity, found, on_progress) for seed in size.seeds]
    columns = np.array(found)
    videos, interest, watched_s, likes, alike, entropy = np.nanmean(columns, axis=0).tolist()
    coverage, gini, shown = np.mean(worlds, axis=0).tolist()
    return {
        "videos_per_visit": videos,
        "interest": interest,
        "interest_error": float(columns[:, 1].std() / np.sqrt(len(columns))),
        "watched_s_per_visit": watched_s,
        "likes_per_visit": likes,
        "intra_list_diversity": alike,
        "tag_entropy": entropy,
        "author_coverage": coverage,
        "author_gini": gini,
        "video_coverage": shown,
    }


def _world_visits(
    size: Visits, seed: int, params: FeedParams, diversity: Diversity, found: list[tuple[float, ...]], on_progress: Callable[[int], None]
) -> tuple[float, float, float]:
    """The visits to one world, told to `found`; coverage of its authors, their Gini coefficient, and coverage of its videos."""
    world = World.from_seed(seed, videos=size.videos, users=size.users)
    clock = ManualClock(DEMO_NOW)
    shown: list[int] = []
    with scratch_reelrank(clock, Settings(storage=StorageConfig(partitions=1), params=params)) as system:
        _tell(system, [VideoPublished(event_id=f"p-{video.video_id}", occurred_at=video.uploaded_at, video=video) for video in world.videos])
        _tell(system, past_events(world, np.random.default_rng(seed), DEMO_NOW, events=size.past, days=3.0))
        system.columns.refresh()
        system.index_builder.build()
        system.feed.selector = SlateSelector(system.columns, system.upkeep.fresh, diversity)
        for number in np.linspace(0, len(world.people) - 1, size.people).astype(np.int64).tolist():
            clock.advance_to(clock.now() + 60.0)
            system.feed.refresh()
            found.append(_visit(system, world, number, clock, shown))
            on_progress(1)
        author_of, rows = system.columns.author_row[: system.columns.count], np.array(shown)
    exposures = np.bincount(author_of[rows], minlength=int(author_of.max()) + 1).astype(np.float64)
    return measures.coverage(author_of[rows], len(np.unique(author_of))), measures.gini(exposures), measures.coverage(rows, size.videos)


def _visit(system: Reelrank, world: World, number: int, clock: ManualClock, shown: list[int]) -> tuple[float, ...]:
    """One visit until patience ends: videos, interest, seconds watched, likes, diversity and entropy of its slates. Notes the videos shown."""
    who = world.people[number]
    person, rng, columns = Person(who), np.random.default_rng([world.seed, number]), system.columns
    patience, held, of_slates = who.patience, list[float](), list[tuple[float, float]]()
    watched_s = likes = 0.0
    while patience > 0 and len(held) < AT_MOST:
        slate = system.feed.recommend(FeedRequest(user_id=who.user_id, count=COUNT, seed=number), clock.now())
        if not slate.places:
            break
        rows = np.array([place.row for place in slate.places])
        shown += rows.tolist()
        of_slates.append((measures.intra_list_diversity(Likeness(columns, rows).matrix()), measures.tag_entropy(columns.tag_rows[rows])))
        events: list[Event] = []
        for place in slate.places:
            video = columns.videos[place.row]
            traits, now = world.traits[video.video_id], clock.now()
            held.append(person.interest(traits, place.position, now))
            reaction = person.react(traits, place.position, now, rng)
            events += events_of(reaction, who.user_id, video.video_id, video.author_id, now, f"v-{number}-{len(held)}", place.position, slate.request_id)
            clock.advance_to(now + reaction.watched_s + 0.5)
            watched_s, likes = watched_s + reaction.watched_s, likes + reaction.liked
            patience -= person.tired_by(held[-1])
            if patience <= 0:
                break
        system.feed.flush()
        _tell(system, events)
    return (len(held), float(np.mean(held)), watched_s, likes, *np.mean(of_slates, axis=0).tolist())


def _tell(system: Reelrank, events: Sequence[Event]) -> None:
    for start in range(0, len(events), _TOLD_AT_ONCE):
        together = events[start : start + _TOLD_AT_ONCE]
        system.collector.accept(Batch([Decoded(index, event) for index, event in enumerate(together)], []))
    system.stream.catch_up()

"""What the people of a world did before it opened: the watches of a week, made at once."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column
from reelrank.domain.event import Context, Event
from reelrank.simulation.behavior import RECENT, Reaction, Reactions, boredom, interest, match, react
from reelrank.simulation.playback import Connection, connection_of, played
from reelrank.simulation.visit import COMMENTS, events_of, local_time
from reelrank.simulation.world import Ints, World

_DAY_S = 86_400.0
_EVENTS_PER_VIDEO = 2.12  # an impression and a watch or skip, now and then a like
_POPULAR = 0.6  # share of videos shown because they are popular, the others by chance
_ABOUT_S = 9.0  # from one video to the next, before anyone has watched
_SLATE = 10


def past_events(world: World, rng: np.random.Generator, until: float, events: int = 45_000, days: float = 7.0) -> list[Event]:
    """About `events` events of the `days` before `until` (UTC seconds), in order of time.

    Nobody sees a video twice, or before it was uploaded. Event ids count up from the oldest showing: posting the same past again adds nothing.
    """
    people, begins, order_in_visit = _showings(world, rng, until, events, days)
    videos = _shown_videos(world, rng, begins)
    keep = videos >= 0
    # by person and time; of what somebody would see again only the first time counts
    people, begins, order_in_visit, videos = people[keep], begins[keep], order_in_visit[keep], videos[keep]
    by_time = np.lexsort((begins, people))
    _, first = np.unique((people * len(world.videos) + videos)[by_time], return_index=True)
    rows = by_time[np.sort(first)]
    people, begins, order_in_visit, videos = people[rows], begins[rows], order_in_visit[rows], videos[rows]

    reactions = _react(world, rng, people, videos, begins, order_in_visit % _SLATE)
    begins = _one_after_the_other(people, begins, reactions.watched_s)
    in_time = np.flatnonzero(begins + reactions.watched_s <= until)
    return _told(world, rng, in_time[np.argsort(begins[in_time], kind="stable")], people, videos, begins, order_in_visit % _SLATE, reactions)


def _showings(world: World, rng: np.random.Generator, until: float, events: int, days: float) -> tuple[Ints, Column, Ints]:
    """Who is shown something when: (n,) person rows, seconds, and the how-manieth of the visit it is."""
    activity = np.array([person.activity for person in world.people])
    patience = np.array([person.patience for person in world.people])
    share = activity / activity.sum()
    wanted = events / _EVENTS_PER_VIDEO * 1.18  # some will be too early or seen before
    visits = max(1, int(wanted / float(share @ (2 + 0.35 * patience))))
    visitors = rng.choice(len(world.people), size=visits, p=share)
    lengths = 2 + rng.poisson(0.35 * patience[visitors])
    hours = np.array([person.active_hour - person.place.utc_offset_h for person in world.people])[visitors] + rng.normal(0, 1.5, visits)
    midnight = np.floor(until / _DAY_S) * _DAY_S
    starts = midnight - rng.integers(0, int(np.ceil(days)) + 1, visits) * _DAY_S + (hours % 24) * 3_600
    span = days * _DAY_S
    starts = until - (until - starts) % span  # what would fall outside of the days moves in
    order = np.concatenate([np.arange(length) for length in lengths])
    return np.repeat(visitors, lengths).astype(np.int64), np.repeat(starts, lengths) + _ABOUT_S * order, order


def _shown_videos(world: World, rng: np.random.Generator, begins: Column) -> Ints:
    """(n,) video rows, each of a video that was there by then; -1 where there was none."""
    uploaded_at = np.array([video.uploaded_at for video in world.videos])
    oldest_first = np.argsort(uploaded_at)
    there = np.searchsorted(uploaded_at[oldest_first], begins)  # how many videos there were
    by_chance = (rng.random(len(begins)) * there).astype(np.int64)
    weight = np.concatenate([[0.0], np.cumsum(np.exp(0.9 * world.quality[oldest_first] + 0.6 * rng.normal(size=len(uploaded_at))))])
    popular = np.searchsorted(weight, rng.random(len(begins)) * weight[there], side="right") - 1
    chosen = np.where(rng.random(len(begins)) < _POPULAR, popular, by_chance)
    return np.where(there > 0, oldest_first[np.minimum(chosen, np.maximum(there - 1, 0))], -1)


def _react(world: World, rng: np.random.Generator, people: Ints, videos: Ints, begins: Column, positions: Ints) -> Reactions:
    authors = np.unique([video.author_id for video in world.videos], return_inverse=True)[1][videos]
    themes = world.themes[videos]
    same_author, same_theme = np.zeros(len(people)), np.zeros(len(people))
    for back in range(1, RECENT + 1):
        same_person = people[back:] == people[:-back]
        same_author[back:] += same_person & (authors[back:] == authors[:-back])
        same_theme[back:] += same_person & (themes[back:] == themes[:-back])
    uploaded_at = np.array([video.uploaded_at for video in world.videos])[videos]
    appetite = np.array([person.freshness_appetite for person in world.people])[people]
    proneness = np.array([person.like_proneness for person in world.people])[people]
    durations = np.array([video.duration_s for video in world.videos])[videos]
    tastes = np.stack([person.tastes for person in world.people])[people]
    held = interest(match(tastes, world.latents[videos]), world.quality[videos], boredom(same_author, same_theme), begins - uploaded_at, appetite, positions)
    return react(held, durations, proneness, rng)


def _one_after_the_other(people: Ints, begins: Column, watched_s: Column) -> Column:
    """The same showings (sorted by person and time), each moved to where the person has left the one before."""
    moved = begins.tolist()
    for row in range(1, len(moved)):
        if people[row] == people[row - 1]:
            moved[row] = max(moved[row], moved[row - 1] + float(watched_s[row - 1]) + 0.4)
    return np.array(moved)


def _told(
    world: World, rng: np.random.Generator, rows: NDArray[np.intp], people: Ints, videos: Ints, begins: Column, positions: Ints, reactions: Reactions
) -> list[Event]:
    (network_rng,) = rng.spawn(1)  # so that stalls leave all else as it is
    comments = rng.integers(len(COMMENTS), size=len(rows))
    columns = [column[rows].tolist() for column in reactions]
    followed: set[tuple[int, str]] = set()
    events: list[Event] = []
    for number, (row, comment, *done) in enumerate(zip(rows.tolist(), comments.tolist(), *columns, strict=True)):
        reaction = Reaction(*done)
        person_row, begin, video = int(people[row]), round(float(begins[row]), 3), world.videos[videos[row]]
        person = world.people[person_row]
        if reaction.followed:
            new = (person_row, video.author_id) not in followed
            followed.add((person_row, video.author_id))
            reaction = reaction._replace(followed=new)
        connection = connection_of(person.user_id)
        hour, weekday = local_time(begin, person.place.utc_offset_h)
        file = video.rendition_for(connection.bandwidth_kbps)
        events += events_of(
            reaction, person.user_id, video.video_id, video.author_id, begin, f"past-{world.seed}-{number}", int(positions[row]), "",
            _context(person.place.name, connection, hour, weekday), COMMENTS[comment],
            playback=played(connection, reaction.watched_s, network_rng, None if file is None else file.height),
        )  # fmt: skip
    return sorted(events, key=lambda event: event.occurred_at or 0.0)


@lru_cache(maxsize=100_000)
def _context(place: str, connection: Connection, hour: int, weekday: int) -> Context:
    return Context(
        device="phone", place=place, network=connection.network, bandwidth_kbps=connection.bandwidth_kbps, local_hour=hour, local_weekday=weekday
    )  # fmt: skip

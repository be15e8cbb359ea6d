"""What people do with videos they love, dislike and have had enough of."""

from dataclasses import replace

import numpy as np
import pytest

from reelrank.simulation.behavior import RECENT, Person, boredom, interest, match, react
from reelrank.simulation.world import LATENT, VideoTraits, World

NOW = 1e9


@pytest.fixture(scope="module")
def world() -> World:
    return World.from_seed(5, videos=120, users=60, now=NOW)


def _loved_and_disliked(world: World, person: int) -> tuple[VideoTraits, VideoTraits]:
    traits = [replace(video, quality=0.0, duration_s=10.0) for video in world.traits.values()]
    traits.sort(key=lambda video: float(match(world.people[person].tastes, video.latent)))
    return traits[-1], traits[0]


def test_a_loved_video_is_watched_longer_liked_more_and_skipped_less(world: World):
    rng = np.random.default_rng(0)
    loved, disliked = _loved_and_disliked(world, 3)
    with_love = [Person(world.people[3]).react(loved, 0, NOW, rng) for _ in range(400)]
    without = [Person(world.people[3]).react(disliked, 0, NOW, rng) for _ in range(400)]
    assert np.mean([one.watched_s for one in with_love]) > 2 * np.mean([one.watched_s for one in without])
    assert sum(one.liked for one in with_love) > sum(one.liked for one in without)
    assert sum(one.skipped for one in with_love) < 0.5 * sum(one.skipped for one in without)


def test_a_match_is_that_of_the_taste_which_is_met_best():
    tastes = np.eye(LATENT)[:2]
    assert match(tastes, np.eye(LATENT)[0]) > 1
    assert match(tastes, np.eye(LATENT)[1]) == pytest.approx(match(tastes, np.eye(LATENT)[0]))
    assert match(tastes, np.eye(LATENT)[5]) == 0


def test_quality_and_freshness_help_and_boredom_and_depth_do_not():
    plain = interest(0.5, 0.0, 0.0, 1e7, 1.0, 0)
    assert interest(0.5, 1.0, 0.0, 1e7, 1.0, 0) > plain
    assert interest(0.5, 0.0, 0.0, 60.0, 1.0, 0) > plain
    assert interest(0.5, 0.0, boredom(1, 1), 1e7, 1.0, 0) < plain
    assert interest(0.5, 0.0, 0.0, 1e7, 1.0, 20) < plain


def test_more_of_the_same_bores_until_it_is_forgotten(world: World):
    rng = np.random.default_rng(1)
    person = Person(world.people[0])
    loved, other = _loved_and_disliked(world, 0)
    other = replace(other, author_id="somebody else", theme=99)
    first = person.interest(loved, 0, NOW)
    person.react(loved, 0, NOW, rng)
    again = person.interest(loved, 0, NOW)
    person.react(loved, 0, NOW, rng)
    assert first > again > person.interest(loved, 0, NOW)
    for _ in range(RECENT):
        person.react(other, 0, NOW, rng)
    assert person.interest(loved, 0, NOW) == pytest.approx(first)


def test_an_author_is_followed_once(world: World):
    rng = np.random.default_rng(2)
    traits = replace(world.people[1], like_proneness=1.0)
    loved = replace(_loved_and_disliked(world, 1)[0], quality=5.0)
    person = Person(traits)
    reactions = [person.react(loved, 0, NOW, rng) for _ in range(300)]
    assert sum(reaction.followed for reaction in reactions) == 1


def test_the_same_chance_makes_the_same_reactions(world: World):
    def run() -> list[object]:
        rng, person = np.random.default_rng(9), Person(world.people[4])
        return [person.react(video, position, NOW, rng) for position, video in enumerate(world.traits.values())]

    assert run() == run()


def test_reactions_add_up():
    n = 20_000
    rng = np.random.default_rng(3)
    durations = rng.uniform(4, 14, n)
    done = react(rng.random(n), durations, np.full(n, 0.3), rng)
    whole = done.replays > 0
    assert (done.watched_s >= 0).all()
    assert (done.watched_s[done.skipped] < durations[done.skipped]).all()
    assert (done.watched_s <= durations * (1 + done.replays) + 0.01).all()
    assert (done.watched_s[whole] >= durations[whole]).all()
    assert not (done.liked & done.skipped).any()
    assert not (done.hidden & ~done.skipped).any()
    assert not (done.followed & ~done.liked).any()
    assert 0.005 < done.liked.mean() < 0.2


def test_people_do_better_with_what_they_like_than_with_what_is_popular_or_random(world: World):
    tastes = np.stack([person.tastes for person in world.people])
    matched = np.stack([match(tastes, np.broadcast_to(latent, (len(tastes), LATENT))) for latent in world.latents], axis=1)
    held = interest(matched, world.quality[None, :], 0.0, 86_400.0, 0.3, 0)
    popular = held[:, np.argsort(held.mean(axis=0))[-10:]].mean()
    assert held.mean() + 0.1 < popular < np.sort(held, axis=1)[:, -10:].mean() - 0.1

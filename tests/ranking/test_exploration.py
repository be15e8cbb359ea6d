"""Tests of exploration: who may be explored, and chances that are what they say."""

from collections.abc import Callable

import numpy as np
import pytest

from ranking.conftest import candidates
from reelrank.domain.candidate import Candidates
from reelrank.domain.params import FeedParams
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import COLUMN
from reelrank.pipeline.stages import Query
from reelrank.ranking.exploration import Exploration
from reelrank.ranking.selectors import SlateSelector

MakeQuery = Callable[..., Query]
OUTCOMES = [0, 10, 49, 60, 150, 300, 2_000]
RATES = [0.3, 0.5, 0.2, 0.6, 0.35, 0.4, 0.9]
EASY = {"cap_author": 99, "cap_sound": 99, "cap_tag": 99, "visit_cap_author": 99, "visit_cap_sound": 99, "visit_cap_tag": 99}


class Bars:
    """New videos of which the better half is watched long by at least so many."""

    def bars(self, params: FeedParams) -> tuple[float, ...]:
        return (0.4, 0.45)


def new_videos(scores: list[float] | None = None) -> Candidates:
    """Seven candidates that the fresh source has proposed, with OUTCOMES, of which a share of RATES were long views."""
    made = candidates(list(range(7)), scores or [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    made.source_names = ("fresh",)
    assert made.features is not None
    made.features[:, COLUMN["video_outcomes"]] = np.log1p(OUTCOMES)
    made.features[:, COLUMN["video_long_view_rate"]] = RATES
    made.features[:, COLUMN["tag_long_view_rate"]] = 0.3
    return made


def test_every_video_is_given_its_first_outcomes_and_then_has_to_earn_more(query: MakeQuery) -> None:
    new = Exploration(query(), new_videos(), Bars().bars(FeedParams()))
    assert np.flatnonzero(new.first).tolist() == [0, 1, 2]  # a poor start is no reason
    assert np.flatnonzero(new.earned).tolist() == [3]  # 4 and 5 lie below the bars of their pools, 6 is known


def test_what_the_fresh_source_did_not_propose_earns_nothing(query: MakeQuery) -> None:
    others = new_videos()
    others.source_names = ("trending",)
    assert not Exploration(query(), others, (0.4, 0.45)).earned.any()


def test_a_thompson_draw_is_won_as_often_as_the_chances_say(query: MakeQuery) -> None:
    """Against a million draws from the Beta posteriors themselves, told here in counts."""
    new = Exploration(query(exploration_first=0.0), new_videos(), (0.4, 0.45))
    pool = new.pool(np.ones(7, dtype=np.bool_))
    chances, rng = new.chances(pool), np.random.default_rng(5)
    imagined = 15 + 5  # outcomes at the rates of author and tags
    expected = [(rate * (seen + 15) + 0.3 * 5) / (seen + imagined) for rate, seen in zip(RATES, OUTCOMES, strict=True)]
    draws = np.stack([rng.beta(mean * (seen + imagined), (1 - mean) * (seen + imagined), 250_000) for mean, seen in zip(expected, OUTCOMES, strict=True)])
    won = np.bincount(np.argmax(draws[pool], axis=0), minlength=int(pool.sum())) / draws.shape[1]
    assert chances[~pool].sum() == 0
    assert chances[pool] == pytest.approx(won, abs=0.005)


def test_a_bad_start_starves_no_video_of_its_first_outcomes(query: MakeQuery) -> None:
    chances = Exploration(query(exploration_first=0.6), new_videos(), (0.4, 0.45)).chances(np.arange(7) < 4)
    assert chances.sum() == pytest.approx(1.0)
    assert chances[:3].min() >= 0.6 / 3


def slates(columns: VideoColumns, query: MakeQuery, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Slates of three in which most places are explored: the videos (draws, 3), and their propensities."""
    selector, made = SlateSelector(columns, Bars()), new_videos()
    found = [selector.select(query(count=3, seed=seed, exploration=0.6, diversity=0.5, **EASY), made) for seed in range(draws)]
    return np.array([one.places for one in found]), np.array([one.propensities for one in found])


def test_propensities_are_frequencies_at_every_place_and_weigh_every_policy_rightly(columns: VideoColumns, query: MakeQuery) -> None:
    draws = 5_000
    videos, propensities = slates(columns, query, draws)
    assert ((propensities > 0) & (propensities <= 1)).all()
    for place in range(3):  # given what stands above, a place shows each video as often as it says
        above, groups = np.unique(videos[:, :place], axis=0, return_inverse=True)
        for group in range(len(above)):
            inside = np.flatnonzero(groups.ravel() == group)
            for video in np.unique(videos[inside, place]):
                shown = inside[videos[inside, place] == video]
                (told,) = np.unique(propensities[shown, place].round(12))
                error = np.sqrt(told * (1 - told) / len(inside))
                assert abs(len(shown) / len(inside) - told) < 4.5 * error + 1e-9
    # the value of showing explorable videos evenly in the first place, from what another policy did
    worth, explorable = np.array([1.0, 3.0, 2.0, 5.0, 9.0, 9.0, 9.0]), np.arange(4)
    weights = np.isin(videos[:, 0], explorable) / len(explorable) / propensities[:, 0]
    estimates = weights * worth[videos[:, 0]]
    assert abs(estimates.mean() - worth[explorable].mean()) < 4 * estimates.std() / np.sqrt(draws)
    assert abs(weights.mean() - 1) < 4 * weights.std() / np.sqrt(draws)


def test_without_exploration_nothing_is_left_to_chance(columns: VideoColumns, query: MakeQuery) -> None:
    placement = SlateSelector(columns, Bars()).select(query(count=10, exploration=0.0, **EASY), new_videos())
    assert placement.propensities.tolist() == [1.0] * 7
    assert not SlateSelector(columns, Bars()).explorable(query(exploration=0.0), new_videos(), 7).any()


def test_what_may_be_explored_is_spared_on_the_way_to_the_slate_but_not_all_of_too_many(columns: VideoColumns, query: MakeQuery) -> None:
    selector = SlateSelector(columns, Bars())
    assert np.flatnonzero(selector.explorable(query(), new_videos(), 7)).tolist() == [0, 1, 2, 3]
    lots = [np.flatnonzero(selector.explorable(query(seed=seed), new_videos(), 2)).tolist() for seed in range(20)]
    assert {len(lot) for lot in lots} == {2} and {place for lot in lots for place in lot} == {0, 1, 2, 3}


def test_new_videos_get_their_first_outcomes_and_the_good_ones_most_of_the_rest(columns: VideoColumns, query: MakeQuery) -> None:
    """Twelve new videos, of which two are good, against one that everybody knows: a world in which outcomes follow true rates."""
    rng, true = np.random.default_rng(2), np.array([0.6, 0.55] + [0.2] * 9)
    seen, long = np.zeros(11), np.zeros(11)
    selector = SlateSelector(columns, Bars())
    for seed in range(1_500):
        made = candidates(list(range(11)), [0.0] * 11)
        made.source_names = ("fresh",)
        assert made.features is not None
        made.features[:, COLUMN["video_outcomes"]] = np.log1p(seen)
        made.features[:, COLUMN["video_long_view_rate"]] = (long + 0.3 * 15) / (seen + 15)
        made.features[:, COLUMN["tag_long_view_rate"]] = 0.3
        params = {"exploration": 1.0, "exploration_impressions": 30, "exploration_tiers": (100, 2_000), **EASY}
        (place,) = selector.select(query(count=1, seed=seed, **params), made).places
        seen[place] += 1
        long[place] += rng.random() < true[place]
    assert seen.min() >= 30
    assert seen[:2].sum() > 0.6 * (seen.sum() - 11 * 30)

from collections.abc import Callable

import numpy as np
import pytest

from ranking.conftest import candidates
from reelrank.domain.params import FeedParams
from reelrank.features.definitions import COLUMN, WIDTH
from reelrank.pipeline.stages import Query
from reelrank.ranking.scorers import QualityTasteScorer, ValueScorer, predictions, value

EVEN = {"video_click_rate": 0.5, "video_long_view_rate_1d": 0.3, "video_like_rate": 0.02}
EVERYBODY = {f"{whose}_{head}": rate for whose in ("app", "user") for head, rate in (("click_rate", 0.5), ("long_view_rate", 0.3), ("like_rate", 0.02))}


def features(*changes: dict[str, float]) -> np.ndarray:
    """One row for each of `changes` to a video and a user that are like all others."""
    matrix = np.zeros((len(changes), WIDTH), dtype=np.float32)
    for row, change in enumerate(changes):
        for name, number in (EVEN | EVERYBODY | change).items():
            matrix[row, COLUMN[name]] = number
    return matrix


def test_an_average_video_for_an_average_user_is_predicted_at_the_average():
    heads = predictions(features({}), FeedParams())
    assert heads["click"][0] == pytest.approx(0.5, abs=1e-3)
    assert heads["long_view"][0] == pytest.approx(0.3, abs=1e-3)
    assert heads["like"][0] == pytest.approx(0.02, abs=1e-3)


@pytest.mark.parametrize("better", ["taste_tag", "taste_author", "taste_sound", "taste_duration", "co_watch"])
def test_every_taste_lifts_every_head(better: str):
    heads = predictions(features({}, {better: 1.0}), FeedParams())
    assert all(values[1] > values[0] for values in heads.values())


def test_a_user_who_likes_more_than_others_is_predicted_to_like_more_but_not_all_that_much():
    heads = predictions(features({}, {"user_like_rate": 0.1}), FeedParams())
    assert 0.02 < heads["like"][1] < 0.1
    assert heads["click"][1] == heads["click"][0]


def test_without_taste_weight_taste_changes_nothing():
    heads = predictions(features({}, {"taste_tag": 2.0}), FeedParams(taste_weight=0.0))
    assert all(values[0] == values[1] for values in heads.values())


def test_the_value_is_the_logarithm_of_the_weighted_sum_and_freshness_fades_by_half_in_its_half_life():
    params = FeedParams(value={"long_view": 2.0, "like": 10.0}, freshness_weight=1.0, freshness_half_life_s=3_600.0, popularity_weight=0.0)
    fresh = features({"age": 0.0}, {"age": float(np.log1p(1.0))})
    heads = {"long_view": np.array([0.5, 0.5]), "like": np.array([0.1, 0.1])}
    assert value(heads, fresh, params) == pytest.approx([np.log(2.0) + 1.0, np.log(2.0) + 0.5], rel=1e-5)


PLAIN = {"freshness_weight": 0.0, "popularity_weight": 0.0, "co_watch_weight": 0.0}


def test_the_value_of_whatever_pleases_is_its_logarithm_and_nothing_else():
    worth = np.geomspace(1e-4, 1e3, 500)
    assert value({"click": worth}, features(*[{}] * 500), FeedParams(value={"click": 1.0}, **PLAIN)) == pytest.approx(np.log(worth), abs=1e-9)


def test_what_pleases_nobody_comes_last_of_all_that_annoys_nobody_and_what_annoys_more_after_what_annoys_less():
    heads = {"long_view": np.array([0.9, 0.001, 0.0, 0.4, 0.4, 0.4]), "hide": np.array([0.0, 0.0, 0.0, 0.1, 0.5, 1.0])}
    scores = value(heads, features(*[{}] * 6), FeedParams())
    assert np.isfinite(scores).all()
    assert (np.diff(scores) < 0).all()


def test_a_video_that_is_surely_hidden_comes_after_a_dull_one_even_if_everybody_watches_it():
    heads = {"long_view": np.array([0.02, 0.9]), "like": np.array([0.0, 0.2]), "hide": np.array([0.001, 0.99])}
    dull, hidden = value(heads, features({}, {"video_outcomes_1d": float(np.log1p(1e6)), "co_watch": 1.0}), FeedParams())
    assert hidden < dull - 1.0


def test_heads_that_nobody_predicts_count_for_nothing_and_what_is_predicted_counts_by_its_weight():
    params = FeedParams(value={"long_view": 1.0, "hide": -10.0, "watch_s": 0.02, "share": 4.0}, **PLAIN)
    heads = {"long_view": np.array([0.5, 0.5]), "hide": np.array([0.0, 0.02]), "watch_s": np.array([10.0, 40.0])}
    assert value(heads, features({}, {}), params) == pytest.approx(np.log([0.5 + 0.2, 0.5 - 0.2 + 0.8]))


@pytest.mark.parametrize(("weight", "feature"), [("popularity_weight", "video_outcomes_1d"), ("co_watch_weight", "co_watch")])
def test_what_speaks_for_a_video_besides_lifts_its_value_by_its_weight(weight: str, feature: str):
    heads = {"click": np.array([0.5]), "long_view": np.array([0.5]), "like": np.array([0.1])}
    plain = value(heads, features({feature: 2.0}), FeedParams(**PLAIN))
    assert value(heads, features({feature: 2.0}), FeedParams(**{**PLAIN, weight: 0.25})) == pytest.approx(plain + 0.5)


def test_predictions_stay_probabilities_at_the_edges():
    extreme = features({"video_click_rate": 0.0, "taste_tag": -50.0}, {"video_click_rate": 1.0, "taste_tag": 50.0})
    for values in predictions(extreme, FeedParams()).values():
        assert np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all()


def test_scorers_write_predictions_and_score_and_leave_the_rest(query: Callable[..., Query]):
    some = candidates([3, 1, 2])
    some.features = features({}, {"taste_tag": 1.0}, {})
    for scorer in (QualityTasteScorer(), ValueScorer()):
        scorer.score(query(), some)
    assert some.rows.tolist() == [3, 1, 2]
    assert some.score is not None and some.score.argmax() == 1

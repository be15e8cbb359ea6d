"""Scorers: the first one is transparent arithmetic, taste x quality x freshness, that a person can follow in the why panel."""

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column
from reelrank.domain.candidate import Candidates
from reelrank.domain.params import FeedParams
from reelrank.features.definitions import COLUMN
from reelrank.pipeline.stages import Query

Features = NDArray[np.float32]  # (n, F)

# log-odds that one unit of each taste adds to each head
_TASTES = {"taste_tag": 0.8, "taste_author": 1.0, "taste_sound": 0.3, "taste_duration": 0.3, "co_watch": 0.35}
_RELIANCE = 0.65  # how far a video's and a user's own rates can be relied on: chosen on a real log, like the tastes
_NO_WORTH = 1e-9  # as good as none: so small that hardly a lift carries what annoys past what pleases
_HEADS = {
    # head: (the video's rate, the user's, everybody's, what a taste is worth)
    "click": ("video_click_rate", "user_click_rate", "app_click_rate", 0.8),
    "long_view": ("video_long_view_rate_1d", "user_long_view_rate", "app_long_view_rate", 1.0),
    "like": ("video_like_rate", "user_like_rate", "app_like_rate", 0.8),
}


class QualityTasteScorer:
    """Predicts click, long view and like in log-odds: how the video does, how the user differs from others, what they like."""

    name = "quality_taste"

    def score(self, query: Query, candidates: Candidates) -> None:
        assert candidates.features is not None, "features are hydrated before they are scored"
        candidates.predictions |= predictions(candidates.features, query.params)


class ValueScorer:
    """The value model: one score from the predictions, lifted for what is fresh, and by what else lifts."""

    name = "value"

    def score(self, query: Query, candidates: Candidates) -> None:
        assert candidates.features is not None, "features are hydrated before they are scored"
        worth = value(candidates.predictions, candidates.features, query.params)
        candidates.score = sum(candidates.lifts.values(), start=worth)


def predictions(features: Features, params: FeedParams) -> dict[str, Column]:
    """The probability of each head, from features (n, F) alone."""
    taste = params.taste_weight * sum((weight * _column(features, name) for name, weight in _TASTES.items()), start=np.zeros(len(features)))
    heads: dict[str, Column] = {}
    for head, (video_rate, user_rate, app_rate, worth) in _HEADS.items():
        everyones = _logit(_column(features, app_rate))
        video_shift, user_shift = _logit(_column(features, video_rate)) - everyones, _logit(_column(features, user_rate)) - everyones
        heads[head] = _sigmoid(everyones + _RELIANCE * (video_shift + user_shift) + worth * taste)
    return heads


def value(heads: dict[str, Column], features: Features, params: FeedParams) -> Column:
    """What a video is worth showing: the logarithm of the weighted predictions, plus what speaks for it besides.

    In logarithms each part has its say whatever the others are: a lift is worth the same to what is watched long by half
    of those who see it and by a tenth. What is likely to be hidden may be worth less than nothing: below zero the logarithm
    is mirrored (inverse hyperbolic sine, Burbidge et al. 1988), so that the worse of two bad videos still comes after the other.
    """
    return sum(parts(heads, features, params).values(), start=np.zeros(len(features)))


def parts(heads: dict[str, Column], features: Features, params: FeedParams) -> dict[str, Column]:
    """What the value is the sum of, by name."""
    worth = sum((weight * heads[head] for head, weight in params.value.items() if head in heads), start=np.zeros(len(features)))
    age_s = np.expm1(_column(features, "age")) * 3600
    return {
        "expected": np.arcsinh(worth / (2 * _NO_WORTH)) + np.log(_NO_WORTH),
        "fresh": params.freshness_weight * 0.5 ** (age_s / params.freshness_half_life_s),  # uploaded just now
        "popular": params.popularity_weight * _column(features, "video_outcomes_1d"),  # watched by many these days
        "taste": params.taste_lift * (_column(features, "taste_tag") + _column(features, "taste_author")),  # of a kind this user likes
        "new_to_them": params.novelty_weight * (_unmet(features, "taste_author") + 0.5 * _unmet(features, "taste_tag")),  # an author, tags they have not met
        "co_watched": params.co_watch_weight * _column(features, "co_watch"),  # watched by those who watch what this user watches
    }


def _column(features: Features, name: str) -> Column:
    return features[:, COLUMN[name]].astype(np.float64)


def _unmet(features: Features, taste: str) -> Column:
    """1 where nothing at all is known of this taste, else 0: evidence moves it away from 0, and be it a little."""
    return (features[:, COLUMN[taste]] == 0).astype(np.float64)


def _logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(probability, 1e-4, 1 - 1e-4)
    return np.log(clipped / (1 - clipped))


def _sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-log_odds))

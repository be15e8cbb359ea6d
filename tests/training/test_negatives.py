"""Tests of what a watch is told from: how often a video is drawn, and which skipped one stands beside a target."""

import numpy as np

from reelrank.features.tokens import Action
from reelrank.training.negatives import MixedNegatives, next_positives, skipped_nearby

WATCHED, CLICKED, SKIPPED = int(Action.CLICK | Action.LONG_VIEW), int(Action.CLICK), 0


def acted(*actions: int) -> np.ndarray:
    return np.array(actions, dtype=np.uint8)


def test_a_video_is_drawn_as_often_as_it_is_said_to_be() -> None:
    rng = np.random.default_rng(0)
    watched = rng.choice(5, size=100_000, p=[0.6, 0.2, 0.15, 0.05, 0.0])
    negatives = MixedNegatives.of(watched, 5, batch=100, uniform=50)
    drawn = np.concatenate([negatives.draw(watched[first : first + 100], rng) for first in range(0, len(watched), 100)])
    np.testing.assert_allclose(np.bincount(drawn, minlength=5) / 1_000, np.exp(negatives.log_chances), rtol=0.03)


def test_only_a_long_view_is_predicted_and_never_across_users() -> None:
    video, starts = np.array([5, 6, 7, 8, 9]), np.array([0, 3, 3, 5])
    targets = next_positives(video, acted(WATCHED, SKIPPED, WATCHED, WATCHED, WATCHED), starts)
    assert targets.tolist() == [-1, 7, -1, 9, -1]


def test_the_hard_negative_is_what_was_skipped_soonest_after_the_target() -> None:
    video, starts = np.array([1, 2, 3, 4, 5, 6, 7]), np.array([0, 5, 7])
    actions = acted(WATCHED, WATCHED, CLICKED, SKIPPED, WATCHED, WATCHED, SKIPPED)
    targets = next_positives(video, actions, starts)
    assert targets.tolist() == [2, -1, -1, 5, -1, -1, -1]
    assert skipped_nearby(video, actions, starts, targets).tolist() == [4, -1, -1, -1, -1, -1, -1]
    assert skipped_nearby(video, actions, starts, targets, reach=1).tolist() == [-1] * 7


def test_a_target_is_never_its_own_hard_negative() -> None:
    video, starts = np.array([1, 2, 2]), np.array([0, 3])
    actions = acted(WATCHED, WATCHED, SKIPPED)
    assert skipped_nearby(video, actions, starts, next_positives(video, actions, starts)).tolist() == [-1, -1, -1]

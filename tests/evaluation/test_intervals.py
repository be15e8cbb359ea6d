"""Differences between two that predict, with intervals over users."""

import numpy as np
import pytest

from reelrank.evaluation.intervals import auc_difference, auc_shares, log_likelihoods, mean_interval
from reelrank.evaluation.prediction import auc, log_loss


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_shares_have_the_auc_as_their_mean(rng: np.random.Generator) -> None:
    outcomes, scores = rng.random(500) < 0.3, rng.integers(0, 20, 500).astype(float)
    assert auc_shares(outcomes, scores).mean() == pytest.approx(auc(outcomes, scores))
    assert np.isnan(auc_shares(np.ones(5, dtype=bool), np.arange(5.0))).all()


def test_likelihoods_have_the_log_loss_as_their_negative_mean(rng: np.random.Generator) -> None:
    outcomes, probabilities = rng.random(100) < 0.3, rng.random(100)
    assert -log_likelihoods(outcomes, probabilities).mean() == pytest.approx(log_loss(outcomes, probabilities))


def test_an_interval_of_an_auc_is_as_wide_as_the_auc_varies_from_sample_to_sample(rng: np.random.Generator) -> None:
    areas, widths = [], []
    for _ in range(40):
        outcomes = rng.random(800) < 0.4
        scores = outcomes + rng.normal(0, 1.5, 800)
        found = mean_interval(auc_shares(outcomes, scores), np.arange(800))
        areas.append(found.mean)
        widths.append(found.high - found.low)
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(areas), rel=0.35)


def test_rows_of_one_user_say_less_than_rows_of_many(rng: np.random.Generator) -> None:
    users = np.repeat(np.arange(50), 40)
    values = rng.normal(size=50)[users] + rng.normal(0, 0.1, len(users))
    by_user, by_row = mean_interval(values, users), mean_interval(values, np.arange(len(users)))
    assert by_user.mean == pytest.approx(by_row.mean)
    assert by_user.high - by_user.low > 4 * (by_row.high - by_row.low)


def test_what_nobody_knows_counts_nowhere() -> None:
    assert mean_interval(np.array([1.0, np.nan, 3.0]), np.array([0, 1, 2])).mean == 2.0
    assert np.isnan(mean_interval(np.array([np.nan]), np.array([0]))).all()
    assert np.isnan(mean_interval(np.array([1.0, 2.0]), np.array([7, 7])).low)


def test_the_same_rows_give_the_same_mean_interval(rng: np.random.Generator) -> None:
    values, users = rng.normal(size=300), rng.integers(0, 40, 300)
    assert mean_interval(values, users) == mean_interval(values, users)


def test_the_interval_of_a_difference_of_aucs_is_that_of_drawing_whole_aucs(rng: np.random.Generator) -> None:
    users, outcomes = rng.integers(0, 150, 3_000), rng.random(3_000) < 0.4
    ours, theirs = outcomes + rng.normal(0, 1.2, 3_000), outcomes + rng.normal(0, 1.5, 3_000)
    exact = auc_difference(outcomes, [ours], [theirs], users)
    quick = mean_interval(auc_shares(outcomes, ours) - auc_shares(outcomes, theirs), users)
    assert quick.mean == pytest.approx(exact.mean)
    assert quick.high - quick.low == pytest.approx(exact.high - exact.low, rel=0.15)

"""Differences between two that predict, with intervals over users."""

import numpy as np
import pytest

from reelrank.evaluation.paired import auc_shares, interval, log_likelihoods
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
        found = interval(auc_shares(outcomes, scores), np.arange(800))
        areas.append(found.mean)
        widths.append(found.hi - found.lo)
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(areas), rel=0.35)


def test_rows_of_one_user_say_less_than_rows_of_many(rng: np.random.Generator) -> None:
    users = np.repeat(np.arange(50), 40)
    values = rng.normal(size=50)[users] + rng.normal(0, 0.1, len(users))
    by_user, by_row = interval(values, users), interval(values, np.arange(len(users)))
    assert by_user.mean == pytest.approx(by_row.mean)
    assert by_user.hi - by_user.lo > 4 * (by_row.hi - by_row.lo)


def test_what_nobody_knows_counts_nowhere() -> None:
    assert interval(np.array([1.0, np.nan, 3.0]), np.array([0, 1, 2])).mean == 2.0
    assert np.isnan(interval(np.array([np.nan]), np.array([0]))).all()
    assert np.isnan(interval(np.array([1.0, 2.0]), np.array([7, 7])).lo)


def test_the_same_rows_give_the_same_interval(rng: np.random.Generator) -> None:
    values, users = rng.normal(size=300), rng.integers(0, 40, 300)
    assert interval(values, users) == interval(values, users)

"""Differences between two that predict, with intervals over users."""

import numpy as np
import pytest

from reelrank.evaluation.paired import auc_shares, gauc_shares, interval, log_likelihoods
from reelrank.evaluation.prediction import auc, gauc, log_loss


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_shares_have_the_auc_as_their_mean(rng: np.random.Generator) -> None:
    outcomes, scores = rng.random(500) < 0.3, rng.integers(0, 20, 500).astype(float)
    assert auc_shares(outcomes, scores).mean() == pytest.approx(auc(outcomes, scores))
    assert np.isnan(auc_shares(np.ones(5, dtype=bool), np.arange(5.0))).all()


def test_shares_of_groups_have_the_gauc_as_their_mean_over_the_rows_that_count(rng: np.random.Generator) -> None:
    outcomes, scores, groups = rng.random(500) < 0.3, rng.integers(0, 20, 500).astype(float), rng.integers(-3, 200, 500)
    shares = gauc_shares(outcomes, scores, groups)
    assert np.nanmean(shares) == pytest.approx(gauc(outcomes, scores, groups))
    some = groups == groups[np.flatnonzero(~np.isnan(shares))[0]]
    assert (shares[some] == auc(outcomes[some], scores[some])).all()
    assert np.isnan(shares[groups == 200]).all()
    assert np.isnan(gauc_shares(np.ones(5, dtype=bool), np.arange(5.0), np.zeros(5, dtype=np.int64))).all()


def test_an_interval_of_a_gauc_is_as_wide_as_the_gauc_varies_from_sample_to_sample(rng: np.random.Generator) -> None:
    areas, widths = [], []
    users, groups = np.repeat(np.arange(80), 12), np.repeat(np.arange(240), 4)  # three days each
    for _ in range(40):
        likes = rng.normal(size=80)[users]  # how well this user is understood
        outcomes = rng.random(len(users)) < 0.4
        found = interval(gauc_shares(outcomes, outcomes * likes + rng.normal(size=len(users)), groups), users)
        areas.append(found.mean)
        widths.append(found.hi - found.lo)
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(areas), rel=0.35)


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

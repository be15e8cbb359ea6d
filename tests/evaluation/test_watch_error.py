"""The errors of watch times against answers worked out by hand."""

import math

import numpy as np
import pytest

from reelrank.evaluation.paired import interval
from reelrank.evaluation.watch_error import mean_error_s, xauc, xauc_shares


def test_the_mean_error_is_in_seconds() -> None:
    assert mean_error_s(np.array([1.0, 5.0]), np.array([2.0, 2.0])) == 2.0
    assert math.isnan(mean_error_s(np.array([]), np.array([])))


def test_xauc_is_the_share_of_pairs_in_their_order() -> None:
    watched_s, predicted_s = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])  # of three pairs one is the wrong way round
    assert xauc(watched_s, predicted_s) == pytest.approx(2 / 3, abs=2e-3)
    assert xauc(watched_s, watched_s) == 1.0
    assert xauc(watched_s, -watched_s) == 0.0


def test_a_constant_orders_half_of_the_pairs() -> None:
    assert xauc(np.arange(10.0), np.zeros(10)) == 0.5


def test_the_same_seed_draws_the_same_pairs() -> None:
    rng = np.random.default_rng(0)
    watched_s, predicted_s = rng.random(50), rng.random(50)
    assert xauc(watched_s, predicted_s, seed=3) == xauc(watched_s, predicted_s, seed=3)


def test_shares_have_the_xauc_as_their_mean() -> None:
    rng = np.random.default_rng(0)
    watched_s, predicted_s = rng.integers(0, 9, 300).astype(float), rng.random(300)
    assert xauc_shares(watched_s, predicted_s).mean() == pytest.approx(xauc(watched_s, predicted_s))
    assert (xauc_shares(watched_s, watched_s) == 1.0).all()


def test_an_interval_of_an_xauc_is_as_wide_as_the_xauc_varies_from_sample_to_sample() -> None:
    rng = np.random.default_rng(0)
    shares, widths = [], []
    for _ in range(30):
        watched_s = rng.exponential(10, 400)
        found = interval(xauc_shares(watched_s, watched_s + rng.normal(0, 10, 400)), np.arange(400))
        shares.append(found.mean)
        widths.append(found.hi - found.lo)
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(shares), rel=0.35)


def test_equal_watch_times_have_no_order() -> None:
    assert np.isnan(xauc_shares(np.ones(4), np.arange(4.0))).all()
    assert len(xauc_shares(np.array([]), np.array([]))) == 0
    assert math.isnan(xauc(np.ones(4), np.arange(4.0)))
    assert math.isnan(xauc(np.array([]), np.array([])))

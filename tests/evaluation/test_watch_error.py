"""The errors of watch times against answers worked out by hand."""

import math

import numpy as np
import pytest

from reelrank.evaluation.watch_error import mean_error_s, xauc


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


def test_equal_watch_times_have_no_order() -> None:
    assert math.isnan(xauc(np.ones(4), np.arange(4.0)))
    assert math.isnan(xauc(np.array([]), np.array([])))

"""Tests of shares that lean on a prior."""

import numpy as np
import pytest

from reelrank.features.rates import CLICK, LIKE, smoothed, watch_ratio
from reelrank.features.windows import COUNTERS, Counter


def counted(**amounts: int) -> np.ndarray:
    counts = np.zeros((1, COUNTERS), dtype=np.int64)
    for name, amount in amounts.items():
        counts[0, Counter[name]] = amount
    return counts


def test_a_rate_lies_between_its_prior_and_what_was_counted() -> None:
    prior = np.array([[0.5, 0.3, 0.02, 0.25]])
    assert smoothed(counted(), prior, 10.0).tolist() == prior.tolist()
    assert smoothed(counted(CLICKS=30, SKIPS=10), prior, 10.0)[0, CLICK] == pytest.approx((30 + 5) / 50)
    assert smoothed(counted(LIKES=99), prior, 10.0)[0, LIKE] == 1.0  # more likes than outcomes: those of an earlier time


def test_a_watch_ratio_is_the_time_watched_in_durations_of_the_video() -> None:
    duration_s = np.array([20.0])
    assert watch_ratio(counted(CLICKS=3, SKIPS=1, WATCHED_DS=600), duration_s, 0.5, 0.0) == pytest.approx([0.75])
    assert watch_ratio(counted(CLICKS=3, SKIPS=1, WATCHED_DS=600), duration_s, 0.5, 4.0) == pytest.approx([(3 + 2) / 8])
    assert watch_ratio(counted(CLICKS=1, WATCHED_DS=99_999), duration_s, 0.5, 1.0) == [3.0]

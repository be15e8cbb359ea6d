"""The calibration error of chances whose truth is known."""

import math

import numpy as np
import pytest

from reelrank.evaluation.calibration_error import calibration_error


def test_chances_that_come_true_have_no_error() -> None:
    rng = np.random.default_rng(0)
    chances = rng.random(200_000)
    assert calibration_error(rng.random(len(chances)) < chances, chances) < 0.005


def test_what_is_said_too_high_is_the_error() -> None:
    assert calibration_error(np.array([True, False, False, False]), np.full(4, 0.75), bins=1) == pytest.approx(0.5)


def test_two_errors_do_not_cancel_each_other() -> None:
    outcomes, chances = np.repeat([False, True], 50), np.repeat([0.2, 0.8], 50)
    assert calibration_error(outcomes, chances, bins=2) == pytest.approx(0.2)


def test_no_rows_have_no_error_to_tell() -> None:
    assert math.isnan(calibration_error(np.array([], dtype=np.bool_), np.array([])))

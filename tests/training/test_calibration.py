"""Calibration finds how far a logit is off."""

import numpy as np
import pytest

from reelrank.evaluation.calibration_error import calibration_error
from reelrank.training.calibration import Calibration, calibrate, fit
from reelrank.training.examples import HEADS
from training.ranker_worlds import of_chance, world


def chance(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def test_scale_and_shift_are_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=100_000)
    outcomes = rng.random(len(logits)) < chance(0.5 * logits - 1)
    found = fit(outcomes, logits)
    assert (found.scale, found.shift) == pytest.approx((0.5, -1.0), abs=0.03)
    assert calibration_error(outcomes, chance(found.scale * logits + found.shift)) < 0.01 < calibration_error(outcomes, chance(logits))


def test_a_rare_outcome_moves_the_level_alone() -> None:
    outcomes = np.arange(10_000) < 10
    found = fit(outcomes, np.zeros(10_000))
    assert found.scale == 1.0
    assert chance(np.array(found.shift)) == pytest.approx(0.001, rel=0.05)


def test_what_never_or_always_happened_stays_as_it_is() -> None:
    assert fit(np.zeros(5, dtype=np.bool_), np.arange(5.0)) == Calibration(1.0, 0.0)
    assert fit(np.ones(5, dtype=np.bool_), np.arange(5.0)) == Calibration(1.0, 0.0)


def test_every_head_is_calibrated_by_what_is_known_of_it() -> None:
    examples = world(of_chance, users=20).examples
    examples.labels[::2, HEADS.index("click")] = np.nan
    logits = np.full((len(examples), 2), 3.0, dtype=np.float32)
    found = calibrate(("click", "long_view"), examples, logits)
    for head, calibration in found.items():
        assert chance(calibration.scale * 3.0 + calibration.shift) == pytest.approx(np.nanmean(examples.label(head)), abs=0.01)


def test_logits_that_say_next_to_nothing_are_not_made_to_shout() -> None:
    rng = np.random.default_rng(1)
    outcomes = rng.random(400) < 0.4
    found = fit(outcomes, rng.normal(size=400) * 1e-3 + outcomes * 2e-3)  # of an untrained network, by chance in the right order
    assert found.scale <= 2.0
    assert chance(np.array(found.shift)) == pytest.approx(outcomes.mean(), abs=0.02)


def test_chances_that_come_true_stay_as_they_are() -> None:
    examples = world(of_chance, users=20).examples
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(len(examples), 1)).astype(np.float32)
    early = examples.served_at < np.median(examples.served_at)
    # what the earlier half seems to teach, the later half takes back
    examples.labels[:, HEADS.index("click")] = rng.random(len(examples)) < chance(logits[:, 0] + np.where(early, 1.0, -1.0))
    assert calibrate(("click",), examples, logits) == {"click": Calibration(1.0, 0.0)}

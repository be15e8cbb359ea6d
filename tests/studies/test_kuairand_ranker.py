"""The protocol: what is learned, chosen by and judged never overlaps, and our ranker is judged by what it serves."""

import numpy as np

from reelrank.models.sessions import RankerSession
from reelrank.studies.kuairand_ranker import Split, fit_predict
from training.ranker_worlds import SMALL, of_one_taste, world


def test_two_days_before_the_test_are_the_validation() -> None:
    days = np.array([20220425, 20220502, 20220503, 20220504, 20220505, 20220506, 20220507])
    split = Split.of(days, 20220505, 20220506)
    assert days[split.train].tolist() == [20220425, 20220502]
    assert days[split.validation].tolist() == [20220503, 20220504]
    assert days[split.test].tolist() == [20220505, 20220506]


def test_a_test_in_the_first_days_of_a_month_is_chosen_for_in_the_month_before() -> None:
    days = np.array([20220428, 20220429, 20220430, 20220501])
    assert days[Split.of(days, 20220501, 20220501).validation].tolist() == [20220429, 20220430]


def test_our_ranker_is_chosen_refitted_calibrated_exported_and_asked(tmp_path) -> None:
    data = world(of_one_taste, users=40)
    place = np.arange(len(data.examples)) / len(data.examples)
    split = Split(place < 0.6, (place >= 0.6) & (place < 0.8), place >= 0.8)
    predictions, errors = fit_predict(data, split, SMALL, 0, tmp_path)
    assert set(predictions) == {"click", "long_view", "watch_s"}
    assert all(np.isfinite(values).all() and len(values) == split.test.sum() for values in predictions.values())
    assert set(errors) == {"click", "long_view"}
    assert set(RankerSession(tmp_path / "artifact").manifest.calibration) == {"click", "long_view"}

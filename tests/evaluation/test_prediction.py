"""AUC, GAUC and log loss against answers worked out by hand and by brute force."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelrank.evaluation.prediction import auc, gauc, log_loss, user_days


def bools(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.bool_)


def auc_by_comparing_all_pairs(outcomes: np.ndarray, scores: np.ndarray) -> float:
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[outcomes] for n in scores[~outcomes]]
    return sum(pairs) / len(pairs) if pairs else math.nan


def test_auc_counts_the_pairs_in_the_right_order() -> None:
    # pairs: .9>.8 yes, .9>.1 yes, .4>.8 no, .4>.1 yes
    assert auc(bools(1, 0, 1, 0), np.array([0.9, 0.8, 0.4, 0.1])) == pytest.approx(3 / 4)


def test_equal_scores_count_half() -> None:
    assert auc(bools(1, 0, 0, 1), np.array([0.5, 0.5, 0.1, 0.5])) == pytest.approx(3 / 4)
    assert auc(bools(1, 0, 1, 0), np.zeros(4)) == 0.5


def test_auc_of_one_outcome_only_is_no_number() -> None:
    assert math.isnan(auc(bools(1, 1), np.array([0.1, 0.2])))
    assert math.isnan(auc(bools(), np.array([])))


def test_gauc_weighs_groups_by_their_rows_and_leaves_out_those_with_one_outcome() -> None:
    outcomes = bools(1, 0, 1, 0, 0, 1)
    scores = np.array([0.2, 0.1, 0.1, 0.3, 0.2, 0.9])
    groups = np.array([7, 7, 3, 3, 3, 5])  # AUC 1 of 2 rows, 0 of 3 rows, none of 1 row
    assert gauc(outcomes, scores, groups) == pytest.approx(2 / 5)


def test_a_score_that_only_tells_users_apart_has_no_gauc_above_a_half() -> None:
    outcomes = bools(1, 1, 0, 1, 0, 0)
    scores = np.array([0.9, 0.9, 0.9, 0.1, 0.1, 0.1])
    assert gauc(outcomes, scores, np.array([0, 0, 0, 1, 1, 1])) == 0.5
    assert auc(outcomes, scores) > 0.5


def test_log_loss_of_a_coin_is_the_logarithm_of_two() -> None:
    assert log_loss(bools(1, 0), np.array([0.5, 0.5])) == pytest.approx(math.log(2))
    assert log_loss(bools(1, 0), np.array([0.8, 0.4])) == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)


def test_a_certain_and_wrong_prediction_costs_much_but_not_everything() -> None:
    assert math.isfinite(log_loss(bools(1), np.array([0.0])))


def test_user_days_tells_the_days_of_a_user_apart() -> None:
    groups = user_days(np.array(["ana", "ana", "bo", "ana"]), np.array([20220425, 20220426, 20220425, 20220425]))
    assert groups[0] == groups[3]
    assert len(set(groups.tolist())) == 3


rows = st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=60)


@given(rows)
def test_auc_is_what_comparing_all_pairs_gives(made: list[tuple[bool, int, int]]) -> None:
    outcomes = np.array([row[0] for row in made])
    scores = np.array([row[1] / 5 for row in made])
    assert auc(outcomes, scores) == pytest.approx(auc_by_comparing_all_pairs(outcomes, scores), nan_ok=True)


@given(rows)
def test_gauc_is_what_group_by_group_gives(made: list[tuple[bool, int, int]]) -> None:
    outcomes = np.array([row[0] for row in made])
    scores = np.array([row[1] / 5 for row in made])
    groups = np.array([row[2] for row in made])
    total, weight = 0.0, 0
    for group in set(groups.tolist()):
        inside = groups == group
        area = auc_by_comparing_all_pairs(outcomes[inside], scores[inside])
        if not math.isnan(area):
            total, weight = total + area * inside.sum(), weight + inside.sum()
    assert gauc(outcomes, scores, groups) == pytest.approx(total / weight if weight else math.nan, nan_ok=True)


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=30, unique=True))
def test_auc_depends_on_the_order_of_the_scores_alone(scores: list[float]) -> None:
    ordered = np.array(sorted(scores))
    outcomes = np.arange(len(ordered)) % 2 == 0
    stretched = ordered**3
    if all(low < high for low, high in pairwise(stretched)):
        assert auc(outcomes, ordered) == pytest.approx(auc(outcomes, stretched))

"""Tests of the retrieval metrics on lists whose answer is known by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reelrank.evaluation import retrieval


def test_the_best_columns_come_first_and_of_equals_the_earlier() -> None:
    scores = np.array([[0.1, 0.9, 0.5, 0.9], [0.0, 0.0, 0.0, 1.0]])
    assert retrieval.top(scores, 3).tolist() == [[1, 3, 2], [3, 0, 1]]
    assert retrieval.top(scores, 9).shape == (2, 4)


def test_of_equals_at_the_end_of_the_list_the_earlier_are_taken() -> None:
    assert retrieval.top(np.zeros((1, 40)), 20).tolist() == [list(range(20))]
    scores = np.zeros((2, 1_040), dtype=np.float32)
    scores[0, [700, 5]] = 2, 1
    assert retrieval.top(scores, 4).tolist() == [[700, 5, 0, 1], [0, 1, 2, 3]]


@given(arrays(np.float64, (4, 30), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])), st.integers(0, 31))
def test_a_list_is_the_begin_of_all_columns_in_stable_order(scores: np.ndarray, k: int) -> None:
    np.testing.assert_array_equal(retrieval.top(scores, k), np.argsort(-scores, axis=1, kind="stable")[:, :k])


def test_what_may_not_be_listed_leaves_empty_places() -> None:
    scores = np.full((2, 8), -np.inf)
    scores[0, [3, 6]] = 1, 2
    assert retrieval.top(scores, 4).tolist() == [[6, 3, -1, -1], [-1, -1, -1, -1]]


def test_a_target_that_may_not_be_listed_is_at_no_place() -> None:
    places = retrieval.places(np.array([[-np.inf, -np.inf, 1.0]]), np.array([0]))
    assert places.tolist() == [np.inf]
    assert retrieval.recall_of_places(places, 10).tolist() == retrieval.ndcg_of_places(places, 10).tolist() == [0.0]


def test_recall_ndcg_and_hit_of_lists_known_by_hand() -> None:
    lists = np.array([[4, 2, 7], [1, 0, 3], [5, 6, -1]])
    indptr, relevant = np.array([0, 2, 3, 4]), np.array([2, 9, 8, 5])
    hits = retrieval.found(lists, indptr, relevant)
    assert hits.tolist() == [[False, True, False], [False, False, False], [True, False, False]]
    counts = np.diff(indptr)
    assert retrieval.recall(hits, counts).tolist() == [0.5, 0.0, 1.0]
    assert retrieval.hit(hits).tolist() == [1.0, 0.0, 1.0]
    second = 1 / np.log2(3)
    np.testing.assert_allclose(retrieval.ndcg(hits, counts), [second / (1 + second), 0.0, 1.0])


def test_an_empty_place_of_a_list_finds_nothing() -> None:
    assert not retrieval.found(np.array([[1, -1], [-1, -1]]), np.array([0, 1, 2]), np.array([3, 0])).any()


def test_a_model_without_an_opinion_has_found_nothing() -> None:
    places = retrieval.places(np.zeros((1, 101)), np.array([7]))
    assert places.tolist() == [50.0]
    assert retrieval.recall_of_places(places, 10).tolist() == [0.0]


@given(arrays(np.float64, (4, 12), elements=st.floats(-5, 5), unique=True), st.integers(1, 12))
def test_one_target_measured_by_its_place_is_measured_as_by_a_list(scores: np.ndarray, k: int) -> None:
    targets = np.array([0, 3, 11, 5])
    places = retrieval.places(scores, targets)
    hits = retrieval.found(retrieval.top(scores, k), np.arange(5), targets)
    one = np.ones(4, dtype=np.int64)
    np.testing.assert_allclose(retrieval.recall_of_places(places, k), retrieval.recall(hits, one))
    np.testing.assert_allclose(retrieval.ndcg_of_places(places, k), retrieval.ndcg(hits, one))


def test_a_difference_paired_by_user_is_narrower_than_either_score() -> None:
    rng = np.random.default_rng(0)
    theirs = rng.random(2_000)
    mean, low, high = retrieval.paired_interval(theirs + 0.01 + 0.001 * rng.standard_normal(2_000), theirs)
    assert low < mean < high
    assert low > 0
    assert mean == pytest.approx(0.01, abs=1e-3)
    with pytest.raises(ValueError, match="at least two users"):
        retrieval.paired_interval(theirs[:1], theirs[:1])

"""Tests of what is measured of a slate, on slates whose answer is known."""

import numpy as np
import pytest

from reelrank.evaluation import slate


def test_diversity_is_one_less_the_mean_likeness_of_pairs() -> None:
    assert slate.intra_list_diversity(np.eye(4)) == 1.0
    assert slate.intra_list_diversity(np.ones((3, 3))) == 0.0
    assert slate.intra_list_diversity(np.array([[1.0, 0.25], [0.25, 1.0]])) == 0.75
    assert np.isnan(slate.intra_list_diversity(np.ones((1, 1))))


def test_what_few_have_seen_is_novel() -> None:
    views = np.array([1.0, 3.0, 0.0])  # with one more each 2, 4 and 1 of 7
    assert slate.novelty(np.array([1]), views) == pytest.approx(np.log2(7 / 4))
    assert slate.novelty(np.array([0, 2]), views) == pytest.approx((np.log2(7 / 2) + np.log2(7)) / 2)


def test_authors_are_counted_once_and_nobody_is_somebody_of_their_own() -> None:
    assert slate.distinct_share(np.array([5, 5, 7, 5])) == 0.5
    assert slate.distinct_share(np.array([-1, -1])) == 1.0
    assert slate.coverage(np.array([2, 2, -1, 4]), 8) == 0.25


def test_attention_is_shared_evenly_or_not() -> None:
    assert slate.gini(np.ones(5)) == pytest.approx(0.0)
    assert slate.gini(np.array([0.0, 0.0, 0.0, 8.0])) == pytest.approx(0.75)
    assert slate.gini(np.zeros(3)) == 0.0


def test_tags_that_are_all_the_same_say_nothing() -> None:
    assert slate.tag_entropy(np.array([[3, -1], [3, -1]])) == 0.0
    assert slate.tag_entropy(np.array([[1, 2], [3, 4]])) == pytest.approx(2.0)
    assert slate.tag_entropy(np.array([[-1, -1]])) == 0.0


def test_what_is_to_be_expected_of_a_slate_is_what_its_places_are_watched() -> None:
    assert slate.expected_watch_s(np.array([8.0, 4.0])) == 12.0

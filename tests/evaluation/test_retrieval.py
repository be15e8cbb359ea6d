"""Recall, NDCG and hits against answers worked out by hand and by brute force."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelrank.evaluation.retrieval import distinct_videos, hit_at, ndcg_at, recall_at


def sets(*wanted: list[int]) -> list[np.ndarray]:
    return [np.array(videos, dtype=np.int64) for videos in wanted]


LISTS = np.array([[1, 2, 3], [4, 5, -1], [6, 7, 8]])
WANTED = sets([2, 9], [4], [1])


def test_recall_is_the_share_of_what_was_wanted() -> None:
    assert recall_at(LISTS, WANTED, 3) == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_only_the_first_k_places_count() -> None:
    assert recall_at(LISTS, WANTED, 1) == pytest.approx((0 + 1 + 0) / 3)
    assert hit_at(LISTS, WANTED, 1) == pytest.approx(1 / 3)


def test_a_hit_is_one_find_or_more() -> None:
    assert hit_at(LISTS, sets([1, 2, 3], [9], [8]), 3) == pytest.approx(2 / 3)


def test_ndcg_values_a_find_by_its_place() -> None:
    second_of_two = (1 / math.log2(3)) / (1 + 1 / math.log2(3))
    assert ndcg_at(LISTS, WANTED, 3) == pytest.approx((second_of_two + 1 + 0) / 3)


def test_a_perfect_list_has_an_ndcg_of_one_however_much_was_wanted() -> None:
    assert ndcg_at(np.array([[1, 2]]), sets([1, 2, 3, 4]), 2) == pytest.approx(1)
    assert ndcg_at(np.array([[1, 2, 3]]), sets([1]), 3) == pytest.approx(1)


def test_who_wants_nothing_is_not_asked() -> None:
    assert recall_at(LISTS, sets([1], [], []), 3) == 1
    assert math.isnan(recall_at(LISTS, sets([], [], []), 3))


def test_an_empty_place_is_no_video() -> None:
    assert hit_at(np.array([[-1, -1]]), sets([-1]), 2) == 0
    assert distinct_videos(np.array([[1, -1], [1, 2]]), 2) == 2


def test_one_list_per_user_is_asked_for() -> None:
    with pytest.raises(ValueError, match="3 lists for 1 users"):
        recall_at(LISTS, sets([1]), 3)


@given(
    st.lists(st.tuples(st.permutations(range(8)), st.sets(st.integers(0, 11), max_size=5)), min_size=1, max_size=6),
    st.integers(1, 10),
)
def test_the_measures_are_what_the_definitions_say(users: list[tuple[list[int], set[int]]], k: int) -> None:
    ranked = np.array([places for places, _ in users])
    wanted = sets(*[sorted(videos) for _, videos in users])
    recalls, gains, hits = [], [], []
    for places, videos in users:
        if videos:
            found = [video in videos for video in places[:k]]
            ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(videos))))
            recalls.append(sum(found) / len(videos))
            gains.append(sum(1 / math.log2(place + 2) for place, hit in enumerate(found) if hit) / ideal)
            hits.append(any(found))
    for measure, expected in ((recall_at, recalls), (ndcg_at, gains), (hit_at, hits)):
        assert measure(ranked, wanted, k) == pytest.approx(np.mean(expected) if expected else math.nan, nan_ok=True)
    assert distinct_videos(ranked, k) == len({video for places, _ in users for video in places[:k]})

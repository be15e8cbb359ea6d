"""Tests of the closed form against brute force, and of what is kept of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reelrank.models import item_to_item
from reelrank.models.item_to_item import ItemToItem, ItemToItemConfig, fit

WATCHED = st.tuples(st.integers(1, 8), st.integers(2, 7)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.0, 1.0, 0.5, 2.0])).filter(lambda x: bool((x > 0).any()))
)


def fit_matrix(watched: np.ndarray, ridge: float = 2.0, neighbours: int = 128, max_videos: int = 10_000, seed: int = 0) -> ItemToItem:
    users, rows = np.nonzero(watched)
    order = np.random.default_rng(seed).permutation(len(users))
    config = ItemToItemConfig(ridge=ridge, neighbours=neighbours, max_videos=max_videos)
    return fit(users[order], rows[order], watched[users, rows][order].astype(np.float32), watched.sum(axis=0), config)


def dense(model: ItemToItem) -> np.ndarray:
    matrix = np.zeros((len(model.videos), len(model.videos)))
    for place in range(len(model.videos)):
        span = slice(model.indptr[place], model.indptr[place + 1])
        matrix[place, model.neighbours[span]] = model.weights[span]
    return matrix


def ridge_regressions(watched: np.ndarray, ridge: float) -> np.ndarray:
    """Each video predicted from all the others, one regression at a time."""
    videos = watched.shape[1]
    solution = np.zeros((videos, videos))
    for target in range(videos):
        others = [video for video in range(videos) if video != target]
        x = watched[:, others]
        solution[others, target] = np.linalg.solve(x.T @ x + ridge * np.eye(len(others)), x.T @ watched[:, target])
    return solution


@given(WATCHED, st.floats(0.5, 100.0))
def test_the_closed_form_is_a_ridge_regression_of_each_video_on_all_others(watched: np.ndarray, ridge: float) -> None:
    model = fit_matrix(watched, ridge)
    assert model.videos.tolist() == np.flatnonzero(watched.any(axis=0)).tolist()
    expected = np.maximum(ridge_regressions(watched[:, model.videos], ridge), 0.0)
    np.testing.assert_allclose(dense(model), expected, atol=2e-5)


@given(WATCHED, st.integers(0, 5))
def test_the_order_of_the_watches_makes_no_difference(watched: np.ndarray, seed: int) -> None:
    one, other = fit_matrix(watched), fit_matrix(watched, seed=seed)
    for name in ("videos", "indptr", "neighbours", "weights", "log_popularity"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


@given(WATCHED)
def test_scores_are_the_history_times_the_matrix(watched: np.ndarray) -> None:
    model = fit_matrix(watched)
    for history in watched:
        rows = np.flatnonzero(history)
        expected = history[model.videos] @ dense(model)
        np.testing.assert_allclose(model.scores(rows, history[rows].astype(np.float32)), expected, atol=1e-5)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = (np.random.default_rng(1).random((60, 23)) < 0.3).astype(np.float64)
    whole = fit_matrix(watched, neighbours=5)
    monkeypatch.setattr(item_to_item, "_BLOCK", 4)
    in_blocks = fit_matrix(watched, neighbours=5)
    np.testing.assert_allclose(dense(whole), dense(in_blocks), atol=1e-6)


def test_only_the_strongest_neighbours_are_kept() -> None:
    watched = (np.random.default_rng(2).random((80, 20)) < 0.3).astype(np.float64)
    every, some = dense(fit_matrix(watched)), dense(fit_matrix(watched, neighbours=3))
    assert ((some > 0).sum(axis=1) <= 3).all()
    for place in range(20):
        np.testing.assert_array_equal(np.sort(some[place])[-3:], np.sort(every[place])[-3:])


def test_only_the_most_watched_videos_take_part() -> None:
    watched = np.zeros((6, 5))
    watched[:, 1] = watched[:4, 3] = watched[:1, 0] = 1
    model = fit_matrix(watched, max_videos=2)
    assert model.videos.tolist() == [1, 3]
    assert model.places_of(np.array([0, 1, 2, 3, 4, 99])).tolist() == [-1, 0, -1, 1, -1, -1]
    assert np.isfinite(model.scores(np.array([0, 4, 99]), np.ones(3, dtype=np.float32))).all()


def test_a_pair_that_comes_twice_counts_once_with_its_largest_amount() -> None:
    users, rows = np.array([0, 0, 1, 1, 0]), np.array([0, 1, 0, 1, 0])
    amounts = np.array([1, 1, 1, 1, 0.5], dtype=np.float32)
    twice = fit(users, rows, amounts, np.ones(2))
    once = fit(users[:4], rows[:4], amounts[:4], np.ones(2))
    np.testing.assert_array_equal(twice.weights, once.weights)


def test_without_watches_there_are_no_neighbours() -> None:
    nothing = np.empty(0, dtype=np.int64)
    model = fit(nothing, nothing, np.empty(0, dtype=np.float32), np.empty(0))
    assert len(model.videos) == len(model.weights) == 0
    assert model.scores(np.array([3]), np.ones(1, dtype=np.float32)).tolist() == []

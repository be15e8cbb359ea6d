"""Tests of how histories are cut: every target is learned once, with at least half a window of context."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelrank.features.tokens import Tokens
from reelrank.training.token_windows import batches, histories, padded, windows


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(2, 12), st.integers(0, 9))
def test_every_target_is_learned_once_and_from_enough_context(sizes: list[int], length: int, seed: int) -> None:
    starts = np.concatenate([[0], np.cumsum(sizes)])
    count = int(starts[-1])
    targets = np.where(np.random.default_rng(seed).random(count) < 0.5, 1, -1)
    cut = windows(starts, targets, length)
    learned = [place for start, end, learn in zip(cut.start, cut.end, cut.learn, strict=True) for place in range(learn, end) if targets[place] >= 0]
    assert sorted(learned) == np.flatnonzero(targets >= 0).tolist()
    owner = np.searchsorted(starts, cut.start, side="right")
    assert (cut.end - cut.start <= length).all()
    assert (owner == np.searchsorted(starts, cut.end - 1, side="right")).all()
    in_the_middle = cut.start > starts[owner - 1]
    assert (cut.learn - cut.start >= np.where(in_the_middle, length - length // 2, 0)).all()


def test_batches_hold_every_window_once_and_windows_of_about_the_same_length() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 30, size=500)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    cut = windows(starts, np.ones(starts[-1], dtype=np.int64), 30)
    made = batches(cut, 50, rng)
    assert sorted(np.concatenate(made).tolist()) == list(range(500))
    assert max(int(np.ptp((cut.end - cut.start)[batch])) for batch in made) <= 8


def test_gaps_are_the_seconds_between_tokens_and_unknown_where_a_time_is() -> None:
    tokens = Tokens(
        start=np.array([0, 3, 5]),
        video=np.array([7, 8, 9, 4, 5]),
        actions=np.array([1, 3, 0, 1, 5], dtype=np.uint8),
        completion=np.array([0.5, 1.0, 0.0, np.nan, 1.0], dtype=np.float32),
        occurred_at=np.array([-np.inf, 100.0, 130.0, 10.0, 11.0]),
        surface=np.zeros(5, dtype=np.int64),
    )
    batch = histories(tokens, np.array([0, 3]), np.array([3, 5]))
    assert batch.video.tolist() == [[7, 8, 9], [4, 5, -1]]
    assert batch.actions.tolist() == [[1, 3, 0], [1, 5, 0]]
    np.testing.assert_array_equal(batch.gap_s.numpy(), [[np.nan, np.nan, 30.0], [np.nan, 1.0, np.nan]])
    np.testing.assert_array_equal(batch.completion.numpy(), [[0.5, 1.0, 0.0], [np.nan, 1.0, np.nan]])


def test_padding_points_at_the_beginning() -> None:
    places, there = padded(np.array([5, 2]), np.array([7, 5]))
    assert places.tolist() == [[5, 6, 5], [2, 3, 4]]
    assert there.tolist() == [[True, True, False], [True, True, True]]


def test_a_window_without_a_past_is_refused() -> None:
    with pytest.raises(ValueError, match="a window of 1 tokens has no past"):
        windows(np.array([0, 3]), np.ones(3, dtype=np.int64), 1)

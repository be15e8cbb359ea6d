"""Tests of the directed counts against counting by hand, and of the exponents that validation chooses."""

import numpy as np

from reelrank.models import directed_item_to_item as directed
from reelrank.models.directed_item_to_item import DirectedConfig
from reelrank.models.item_to_item import ItemToItem
from walks import joined, walks

PLAIN = DirectedConfig(gap_decay=0.5, backward=0.0, row_exponent=0.0, column_exponent=0.0)


def world_of_rounds() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """300 walks over 20 videos: (rows, indptr, what comes next)."""
    rows, indptr = joined(walks(300, 20, np.random.default_rng(0)))
    return rows, indptr, (rows[indptr[1:] - 1] + 1) % 20


def test_pairs_are_counted_forward_and_fade_with_their_gap() -> None:
    rows, indptr = joined([[0, 1, 2], [1, 2]])
    forward = directed.forward_counts(rows, indptr, 3, gap_decay=0.5, max_gap=50).toarray()
    assert forward.tolist() == [[0, 1, 0.5], [0, 0, 2], [0, 0, 0]]
    near = directed.forward_counts(rows, indptr, 3, gap_decay=0.5, max_gap=1).toarray()
    assert near.tolist() == [[0, 1, 0], [0, 0, 2], [0, 0, 0]]


def test_the_end_of_one_history_says_nothing_about_the_beginning_of_the_next() -> None:
    rows, indptr = joined([[0, 1], [], [2, 3]])
    forward = directed.forward_counts(rows, indptr, 4, gap_decay=1.0, max_gap=50).toarray()
    assert np.argwhere(forward).tolist() == [[0, 1], [2, 3]]


def test_what_is_followed_by_many_says_less_about_each() -> None:
    rows, indptr = joined([[0, 1], [0, 2], [0, 3], [4, 5]])
    weights = directed.weights(rows, indptr, 6, DirectedConfig(backward=0.0, row_exponent=1.0, column_exponent=0.0)).toarray()
    np.testing.assert_allclose(weights[0, 1:4], 1 / 3)
    assert weights[4, 5] == 1.0


def test_the_newest_watch_speaks_loudest() -> None:
    rows, indptr = joined([[0, 1, 2], [2]])
    told = directed.decayed_histories(rows, indptr, 3, input_decay=0.5).toarray()
    assert told.tolist() == [[0.25, 0.5, 1.0], [0.0, 0.0, 1.0]]


def test_where_order_matters_validation_finds_what_comes_next() -> None:
    rows, indptr, following = world_of_rounds()
    chosen, quality = directed.choose(rows, indptr, following, 20)
    assert quality > 0.99
    said = directed.scores(directed.decayed_histories(rows, indptr, 20, chosen.input_decay), directed.weights(rows, indptr, 20, chosen))
    assert (said.argmax(axis=1) == following).all()


def test_without_an_order_what_comes_next_is_lost() -> None:
    rows, indptr, following = world_of_rounds()
    rng = np.random.default_rng(1)
    shuffled = np.concatenate([rng.permutation(rows[start:end]) for start, end in zip(indptr[:-1], indptr[1:], strict=True)])
    _, quality = directed.choose(shuffled, indptr, following, 20)
    assert quality < 0.9


def test_nobody_is_offered_what_was_watched_already() -> None:
    rows, indptr = joined([[0, 1, 0, 2], [1, 2]])
    said = directed.scores(directed.decayed_histories(rows, indptr, 3, 0.5), directed.weights(rows, indptr, 3, DirectedConfig()))
    assert np.isneginf(said).tolist() == [[True, True, True], [False, True, True]]


def test_fitted_for_serving_it_speaks_for_what_comes_next_among_the_videos_that_take_part():
    users, rows = np.repeat(np.arange(20), 4), np.tile([7, 3, 9, 5], 20)
    like = ItemToItem(
        np.array([3, 5, 9]), np.zeros(4, dtype=np.int64), np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32), np.ones(3, dtype=np.float32)
    )
    model = directed.fit(users, rows, like, 1, DirectedConfig(gap_decay=0.5, backward=0.1))
    assert model.videos.tolist() == [3, 5, 9]
    assert np.diff(model.indptr).tolist() == [1, 1, 1]
    assert model.videos[model.scores(np.array([3]), np.ones(1, dtype=np.float32)).argmax()] == 9
    assert model.videos[model.scores(np.array([9]), np.ones(1, dtype=np.float32)).argmax()] == 5

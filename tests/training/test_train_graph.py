"""Tests of the graph's training: on circles of friends it finds what was held out, and hides videos fairly."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from circles import of_circles, watched_by
from reelrank.training.folds import Fold
from reelrank.training.train_graph import choose, hide, train

CIRCLES, EACH = 6, 20


def engagements(rng: np.random.Generator, each: int = EACH) -> tuple[np.ndarray, np.ndarray]:
    """Users and videos of the pairs of 240 users."""
    return np.nonzero(watched_by(240, of_circles(CIRCLES, each), rng))


def test_what_was_held_out_is_found_and_training_is_repeatable() -> None:
    users, rows = engagements(np.random.default_rng(0))
    heard: list[int] = []
    first, again = (train(users, rows, np.ones(len(users), dtype=np.float32), CIRCLES * EACH, None, on_progress=heard.append) for _ in range(2))
    assert first.recall > 0.9
    assert first.shape == again.shape
    np.testing.assert_array_equal(first.vectors.finds, again.vectors.finds)
    assert sum(heard) > 0


def test_shuffled_pairs_teach_nothing() -> None:
    rng = np.random.default_rng(1)
    users, rows = engagements(rng)
    trained = train(users, rng.permutation(rows), np.ones(len(users), dtype=np.float32), CIRCLES * EACH, None)
    assert trained.recall < 0.65  # lists of 50 of 120 hold .42 by chance, popularity a little more


def test_content_finds_videos_that_were_hidden_and_shuffled_content_does_not() -> None:
    rng = np.random.default_rng(2)
    users, rows = engagements(rng, each=40)
    content = np.eye(CIRCLES, dtype=np.float32)[of_circles(CIRCLES, 40)]
    hidden = np.arange(len(content)) % 2 == 0
    shape = (240, len(content))
    watched, wanted = (csr_array((np.ones(int(part.sum())), (users[part], rows[part])), shape=shape) for part in (~hidden[rows], hidden[rows]))
    told, shuffled = (choose([Fold(watched, wanted, hidden)], given)[1] for given in (content, rng.permutation(content)))
    assert told > 0.9
    assert shuffled < 0.7  # lists of 50 of 120 hold .42 by chance; of many settings the luckiest is chosen


def test_too_few_engagements_are_refused() -> None:
    with pytest.raises(ValueError, match="more engagements"):
        train(np.array([0, 1]), np.array([0, 1]), np.ones(2, dtype=np.float32), 2, None)


def test_as_many_popular_as_rare_videos_are_hidden() -> None:
    watched = np.arange(1_000.0)
    hidden = hide(watched, 0.1, np.random.default_rng(3))
    assert hidden.sum() == 100
    assert hidden[:500].sum() == hidden[500:].sum() == 50

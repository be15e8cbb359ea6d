"""Tests of LightGCN's training on circles of friends."""

import numpy as np
from scipy.sparse import csr_array

from circles import held_out, of_circles, watched_by
from reelrank.training.train_lightgcn import LightGcnConfig, train

OF_VIDEO = of_circles(4, 12)
CONFIG = LightGcnConfig(width=16, layers=2, batch=256, negatives=64, epochs=20, every=5, learning_rate=0.02)


def test_it_learns_who_belongs_together_and_the_same_again_from_the_same_seed() -> None:
    rng = np.random.default_rng(0)
    watched, wanted = held_out(watched_by(80, OF_VIDEO, rng), rng)
    first, again = (train(watched, CONFIG, seed=0, wanted=wanted) for _ in range(2))
    np.testing.assert_array_equal(first.videos, again.videos)
    scores = first.users @ first.videos.T
    scores[watched.toarray() > 0] = -np.inf
    assert np.mean(OF_VIDEO[scores.argmax(axis=1)] == np.arange(80) % 4) > 0.9


def test_a_video_that_nobody_has_watched_stands_where_its_content_says() -> None:
    watched = watched_by(80, OF_VIDEO, np.random.default_rng(1), often=0.3)
    watched[:, 0] = False
    content = np.eye(4, dtype=np.float32)[OF_VIDEO]
    trained = train(csr_array(watched.astype(np.float32)), CONFIG, seed=0, epochs=20, content=content)
    scores = trained.users @ trained.videos[0]
    assert set(np.argsort(-scores)[:10] % 4) == {0}

"""Tests of LightGCN's training on circles of friends."""

import numpy as np
from scipy.sparse import csr_array

from reelrank.training.train_lightgcn import LightGcnConfig, train

CONFIG = LightGcnConfig(width=16, layers=2, batch=256, negatives=64, epochs=20, every=5, learning_rate=0.02)


def circles(rng: np.random.Generator) -> tuple[csr_array, csr_array]:
    same = np.equal.outer(np.arange(80) % 4, np.repeat(np.arange(4), 12))
    pairs = rng.random(same.shape) < np.where(same, 0.4, 0.01)
    out = pairs & (rng.random(pairs.shape) < 0.2)
    return csr_array((pairs & ~out).astype(np.float32)), csr_array(out.astype(np.float32))


def test_it_learns_who_belongs_together_and_the_same_again_from_the_same_seed() -> None:
    watched, wanted = circles(np.random.default_rng(0))
    first, again = (train(watched, CONFIG, seed=0, wanted=wanted) for _ in range(2))
    np.testing.assert_array_equal(first.videos, again.videos)
    scores = first.users @ first.videos.T
    scores[watched.toarray() > 0] = -np.inf
    assert np.mean(scores.argmax(axis=1) // 12 == np.arange(80) % 4) > 0.9


def test_a_video_that_nobody_has_watched_stands_where_its_content_says() -> None:
    watched, _ = circles(np.random.default_rng(1))
    dense = watched.toarray()
    dense[:, 0] = 0
    content = np.eye(4, dtype=np.float32)[np.repeat(np.arange(4), 12)]
    trained = train(csr_array(dense), CONFIG, seed=0, epochs=20, content=content)
    scores = trained.users @ trained.videos[0]
    assert set(np.argsort(-scores)[:10] % 4) == {0}

"""Tests of choosing a filter: it finds what the data need, and shuffled data have nothing to be found."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from circles import held_out, of_circles, watched_by
from reelrank.training.choose_filter import Content, best, choose, scorer
from reelrank.training.folds import Fold

USERS, CIRCLES = 120, 4
OF_VIDEO = of_circles(CIRCLES, 15)


def circles(rng: np.random.Generator, often: float = 0.3) -> tuple[csr_array, csr_array]:
    return held_out(watched_by(USERS, OF_VIDEO, rng, often, stray=0.02), rng)


def test_the_chosen_shape_is_at_least_as_good_as_the_neutral_one_and_choosing_is_repeatable() -> None:
    watched, wanted = circles(np.random.default_rng(0))
    content = Content([], seed=0)
    heard: list[int] = []
    chosen = choose(Fold(watched, wanted), content, seed=0, on_progress=heard.append)
    assert chosen == choose(Fold(watched, wanted), content, seed=0)
    assert sum(heard) == chosen.tried
    assert chosen.recall > 0.7
    lists = best(scorer(watched, content, chosen)(np.arange(USERS)), watched)
    assert lists.shape == (USERS, 20)
    assert not watched[np.repeat(np.arange(USERS), 20), lists.ravel()].any()


def test_content_is_used_where_it_tells_and_left_where_it_is_noise() -> None:
    rng = np.random.default_rng(1)
    watched, wanted = circles(rng, often=0.1)
    telling = np.eye(CIRCLES, dtype=np.float32)[OF_VIDEO] + 0.1 * rng.standard_normal((len(OF_VIDEO), CIRCLES)).astype(np.float32)
    with_content = choose(Fold(watched, wanted), Content([telling], seed=0), seed=0)
    without = choose(Fold(watched, wanted), Content([], seed=0), seed=0)
    assert with_content.recall > without.recall
    assert with_content.shape.flow > 0 or max(with_content.shape.like_watched) > 0


def test_nothing_to_be_found_is_refused() -> None:
    watched, _ = circles(np.random.default_rng(2))
    with pytest.raises(ValueError, match="nobody has a pair that was held out"):
        choose(Fold(watched, csr_array(watched.shape, dtype=np.float32)), Content([], seed=0), seed=0)

"""Videos that the same people watch lie close together."""

import numpy as np
import pytest

from reelrank.models.co_watch_space import co_watch_space


def two_crowds(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """200 users; the even ones watch rows 1 to 10, the odd ones rows 11 to 20."""
    users = np.repeat(np.arange(200), 6)
    return users, rng.integers(1, 11, len(users)) + 10 * (users % 2)


def test_two_crowds_lie_apart() -> None:
    space = co_watch_space(*two_crowds(np.random.default_rng(0)), 22, 4)
    alike = space @ space.T / 4
    assert alike[1:11, 1:11].mean() > 3 * abs(alike[1:11, 11:21].mean())


def test_every_watched_row_is_as_long_and_nobodys_row_is_nothing() -> None:
    space = co_watch_space(*two_crowds(np.random.default_rng(0)), 22, 4)
    assert (space[1:21] ** 2).mean(axis=1) == pytest.approx(1.0, abs=1e-4)
    assert not space[[0, 21]].any()


def test_the_unseen_row_stays_nothing_however_often_it_comes_up() -> None:
    users, rows = two_crowds(np.random.default_rng(0))
    assert not co_watch_space(users, np.where(rows == 7, 0, rows), 22, 4)[[0, 7]].any()


def test_there_may_be_fewer_rows_than_directions_or_no_watch_at_all() -> None:
    assert co_watch_space(np.array([0, 1]), np.array([1, 2]), 3, 8).shape == (3, 8)
    assert not co_watch_space(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), 3, 8).any()

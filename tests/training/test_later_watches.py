"""Tests of what retrieval is judged by: only what came later, long, and for the first time."""

import numpy as np
import pytest

from reelrank.features.tokens import Action, Tokens
from reelrank.training.examples import ExamplesError
from reelrank.training.later_watches import LaterWatches, judged_from
from training import bare

LONG, SHORT = int(Action.CLICK | Action.LONG_VIEW), int(Action.CLICK)

TOKENS = Tokens(
    start=np.array([0, 5, 5, 8]),
    video=np.array([0, 1, 1, 2, 3, 3, 0, 4]),
    actions=np.array([LONG, SHORT, LONG, LONG, SHORT, LONG, LONG, LONG], dtype=np.uint8),
    completion=np.ones(8, dtype=np.float32),
    occurred_at=np.array([-np.inf, 10.0, 20.0, 21.0, 22.0, 9.0, 20.0, 30.0]),
    surface=np.zeros(8, dtype=np.int64),
)


def test_histories_are_cut_at_the_moment() -> None:
    before = TOKENS.before(np.full(3, 20.0))
    assert before.start.tolist() == [0, 2, 2, 3]
    assert before.video.tolist() == [0, 1, 3]
    assert before.occurred_at.tolist() == [-np.inf, 10.0, 9.0]


def test_only_long_first_watches_after_the_moment_count() -> None:
    later = LaterWatches.of(TOKENS, 20.0)
    assert later.user.tolist() == [0, 2]
    assert later.indptr.tolist() == [0, 1, 3]
    assert later.video.tolist() == [2, 0, 4]  # user 0 had 1 on screen before, and left 3 soon
    assert LaterWatches.of(TOKENS, 20.0, until=30.0).video.tolist() == [2, 0]


def test_what_was_on_screen_before_takes_no_place() -> None:
    later = LaterWatches.of(TOKENS, 20.0)
    videos = np.eye(5, dtype=np.float32)
    users = np.array([[9, 8, 7, 0, 0], [1, 0, 0, 9, 0]], dtype=np.float32)  # 0 and 1, and 3, were seen
    assert later.recall(users, videos, 1) == pytest.approx((1 + 0.5) / 2)
    assert later.recall(users, videos, 4) == 1.0
    assert np.isnan(LaterWatches.of(TOKENS, 99.0).recall(users, videos, 1))


def test_a_model_is_judged_by_the_newest_tenth_of_what_has_a_time() -> None:
    at = np.concatenate([[-np.inf] * 5, np.arange(101.0)])
    assert judged_from(bare.tokens([np.zeros(len(at))], occurred_at=at)) == 90.0
    with pytest.raises(ExamplesError, match="no watch in the lake has a time"):
        judged_from(bare.tokens([[1, 2]], occurred_at=np.full(2, -np.inf)))

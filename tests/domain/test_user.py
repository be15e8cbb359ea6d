"""Tests of what is known of a user."""

import numpy as np

from reelrank.domain.user import Signal, Signals, User, Watches
from reelrank.features.windows import COUNTERS


def test_somebody_nobody_has_heard_of_is_new() -> None:
    assert User("ana").is_new
    assert len(User("ana").counts) == COUNTERS
    assert not User("ana", followed=np.array([1])).is_new
    assert not User("ana", watches=Watches(video_rows=np.array([1]))).is_new


def test_signals_are_told_apart_and_keep_their_order() -> None:
    kinds = np.array([Signal.LIKE, Signal.HIDE, Signal.LIKE, Signal.SHARE])
    user = User("ana", signals=Signals(np.array([5, 6, 2, 5]), np.arange(4.0), kinds))
    assert (user.liked.tolist(), user.hidden.tolist()) == ([5, 2], [6])
    assert user.signals.of(Signal.COMMENT).tolist() == []

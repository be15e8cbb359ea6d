"""Tests of what is known of a user."""

import numpy as np

from reelrank.domain.user import Signal, Signals, User
from reelrank.features.windows import COUNTERS


def test_of_somebody_nobody_has_heard_of_everything_is_empty() -> None:
    ana = User("ana")
    assert len(ana.counts) == COUNTERS and not ana.counts.any()
    assert (len(ana.watches), len(ana.liked), len(ana.followed), len(ana.seen), ana.place) == (0, 0, 0, 0, "")


def test_signals_are_told_apart_and_keep_their_order() -> None:
    kinds = np.array([Signal.LIKE, Signal.HIDE, Signal.LIKE, Signal.SHARE])
    user = User("ana", signals=Signals(np.array([5, 6, 2, 5]), np.arange(4.0), kinds))
    assert (user.liked.tolist(), user.hidden.tolist()) == ([5, 2], [6])
    assert user.signals.of(Signal.COMMENT).tolist() == []

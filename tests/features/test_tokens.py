"""Tokens: a history as the networks read it."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelrank.domain.user import Signal, Signals, User, Watches
from reelrank.features.tokens import MOST_COMPLETION, Action, Tokens, deeds_of, tokens_of

DURATIONS = np.full(10, 10.0)


def somebody(watches: list[tuple[int, float, float]], signals: Sequence[tuple[int, float, Signal]] = (), name: str = "u") -> User:
    """Watches as (video, left at, seconds), signals as (video, at, kind)."""
    return User(
        name,
        watches=Watches(
            video_rows=np.array([one[0] for one in watches], dtype=np.int64),
            occurred_at=np.array([one[1] for one in watches], dtype=np.float64),
            watched_s=np.array([one[2] for one in watches], dtype=np.float64),
            replays=np.zeros(len(watches), dtype=np.int64),
            skipped=np.array([one[2] < 2 for one in watches], dtype=np.bool_),
            long_view=np.array([one[2] >= 8 for one in watches], dtype=np.bool_),
            surface=np.full(len(watches), 1),
        ),
        signals=Signals(
            video_rows=np.array([one[0] for one in signals], dtype=np.int64),
            occurred_at=np.array([one[1] for one in signals], dtype=np.float64),
            kinds=np.array([one[2] for one in signals], dtype=np.int64),
        ),
    )


def tokens(*users: User) -> Tokens:
    return tokens_of(deeds_of(users), DURATIONS)


def test_a_token_says_what_was_watched_and_how_far() -> None:
    made = tokens(somebody([(3, 100.0, 9.0), (4, 110.0, 1.0)]))
    assert made.video.tolist() == [3, 4]
    assert made.actions.tolist() == [Action.CLICK | Action.LONG_VIEW, 0]
    assert made.completion.tolist() == pytest.approx([0.9, 0.1])


def test_a_like_is_a_token_at_its_moment() -> None:
    made = tokens(somebody([(3, 100.0, 9.0), (4, 110.0, 5.0)], [(3, 105.0, Signal.LIKE)]))
    assert made.video.tolist() == [3, 3, 4]
    assert made.actions.tolist() == [Action.CLICK | Action.LONG_VIEW, Action.LIKE, Action.CLICK]
    assert np.isnan(made.completion[1])


def test_blocking_and_following_are_about_authors_and_no_tokens() -> None:
    assert tokens(somebody([], [(3, 105.0, Signal.FOLLOW), (3, 106.0, Signal.BLOCK)])).start.tolist() == [0, 0]


def test_what_has_no_time_comes_first_in_its_order() -> None:
    made = tokens(somebody([(5, np.nan, np.nan), (4, np.nan, np.nan), (3, 100.0, 9.0)]))
    assert made.video.tolist() == [5, 4, 3]
    assert made.occurred_at.tolist() == [-np.inf, -np.inf, 100.0]


def test_completion_is_bounded_and_unknown_without_a_duration() -> None:
    assert tokens(somebody([(1, 100.0, 900.0)])).completion.tolist() == [MOST_COMPLETION]
    assert np.isnan(tokens_of(deeds_of([somebody([(1, 100.0, 9.0)])]), np.zeros(10)).completion).all()


def test_a_history_ends_before_what_is_known_only_at_that_moment() -> None:
    made = tokens(somebody([(1, 10.0, 5.0), (2, 20.0, 5.0)], name="a"), somebody([(3, np.nan, np.nan), (4, 15.0, 5.0)], name="b"))
    owner = np.array([0, 0, 0, 1, 1, 1])
    assert made.ends(owner, np.array([10.0, 20.0, 21.0, 0.0, 15.0, 99.0])).tolist() == [0, 1, 2, 3, 3, 4]


def test_nobody_has_no_tokens() -> None:
    made = tokens(User("new"), somebody([(1, 10.0, 5.0)]))
    assert made.start.tolist() == [0, 0, 1]
    assert made.ends(np.array([0]), np.array([99.0])).tolist() == [0]


moments = st.integers(1, 60).map(float)
deeds = st.tuples(
    st.lists(st.tuples(st.integers(0, 3), moments, st.integers(0, 12).map(float)), max_size=8),
    st.lists(st.tuples(st.integers(0, 3), moments, st.sampled_from([Signal.LIKE, Signal.SHARE, Signal.HIDE])), max_size=5),
)


@given(deeds, moments)
def test_a_history_cut_at_a_moment_is_the_history_of_that_moment(deeds: tuple, moment: float) -> None:
    """What is known later changes no token of before: nothing of the future reaches an example."""
    watches, signals = deeds
    everything = tokens(somebody(watches, signals))
    end = int(everything.ends(np.array([0]), np.array([moment]))[0])
    until = tokens(somebody([one for one in watches if one[1] < moment], [one for one in signals if one[1] < moment]))
    assert [list(map(repr, column[:end].tolist())) for column in everything[1:]] == [list(map(repr, column.tolist())) for column in until[1:]]


def test_histories_before_some_moments_are_those_of_these_moments():
    tokens = Tokens(
        start=np.array([0, 3, 3, 5]),
        video=np.arange(5),
        actions=np.ones(5, dtype=np.uint8),
        completion=np.zeros(5, dtype=np.float32),
        occurred_at=np.array([-np.inf, 10.0, 20.0, 5.0, 30.0]),
        surface=np.zeros(5, dtype=np.int64),
    )
    then = tokens.before(np.array([20.0, 20.0, 100.0]))
    assert (then.start.tolist(), then.video.tolist()) == ([0, 2, 2, 4], [0, 1, 3, 4])
    assert tokens.before(np.full(3, -np.inf)).start.tolist() == [0, 0, 0, 0]


def test_some_users_keep_their_whole_histories_in_the_order_asked_for() -> None:
    everybody = tokens(somebody([(1, 100.0, 9.0), (2, 110.0, 5.0)]), somebody([], name="v"), somebody([(3, 50.0, 1.0)], [(3, 55.0, Signal.LIKE)], "w"))
    some = everybody.of(np.array([2, 1, 0]))
    assert some.start.tolist() == [0, 2, 2, 4]
    assert some.video.tolist() == [3, 3, 1, 2]
    assert some.occurred_at.tolist() == [50.0, 55.0, 100.0, 110.0]
    assert everybody.of(np.array([1])).start.tolist() == [0, 0]

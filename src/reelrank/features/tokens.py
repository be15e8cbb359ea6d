"""Tokens: what some users did, as the networks read it; the same from the online store when serving and from a log when training.

A token is a watch that is over, or a like, share, comment or hide at the moment it was given. So no token changes once it
is known, and a history that is cut at a moment is the history of that moment: nothing of what came after is in it.
"""

from collections.abc import Sequence
from enum import IntFlag
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column, Rows
from reelrank.domain.user import Signal, User, no_rows
from reelrank.features.spans import covered

Flags = NDArray[np.bool_]


class Action(IntFlag):
    """What a token says was done; one without any was swiped away. The bits are learned from: only ever append."""

    CLICK = 1  # watched, not swiped away
    LONG_VIEW = 2
    LIKE = 4
    SHARE = 8
    COMMENT = 16
    HIDE = 32
    REPLAY = 64


class Deeds(NamedTuple):
    """The watches (w) and signals (s) of some users, in any order."""

    users: int
    owner: Rows  # (w,) whose
    rows: Rows  # (w,) of which video
    occurred_at: Column  # (w,) when it was left, UTC seconds; nan where nobody took the time
    watched_s: Column  # (w,) nan where nobody measured it
    replays: Rows  # (w,)
    skipped: Flags  # (w,)
    long_view: Flags  # (w,)
    surface: Rows  # (w,) 0 unknown
    signal_owner: Rows  # (s,)
    signal_rows: Rows  # (s,)
    signal_at: Column  # (s,)
    kinds: Rows  # (s,) of Signal


class Tokens(NamedTuple):
    """The histories of u users, one after the other, each oldest first: those of user i lie in [start[i], start[i + 1])."""

    start: Rows  # (u + 1,)
    video: Rows  # (t,) video rows
    actions: NDArray[np.uint8]  # (t,) of Action
    completion: NDArray[np.float32]  # (t,) watched_s / duration_s, at most `MOST_COMPLETION`; nan unknown
    occurred_at: Column  # (t,) UTC seconds when it was known; -inf for what came before anybody took the time
    surface: Rows  # (t,) 0 unknown

    @property
    def owner(self) -> Rows:
        """Whose each token is: (t,)."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    def of(self, users: Rows) -> "Tokens":
        """The histories of some users alone, in that order."""
        mine, sizes = covered(self.start[users], self.start[users + 1])
        return self._at(np.concatenate([[0], np.cumsum(sizes)]), mine)

    def ends(self, owner: Rows, moments: Column) -> Rows:
        """Where the history that user `owner[i]` had before the moment `moments[i]` ends: (n,), in [start[owner], start[owner + 1]]."""
        return _before(self.owner, self.occurred_at, owner, moments)

    def before(self, moments: Column) -> "Tokens":
        """The histories as they were known right before `moments` (u,), one for each user."""
        owner = self.owner
        known = self.occurred_at < moments[owner]
        start = np.concatenate([[0], np.cumsum(np.bincount(owner[known], minlength=len(moments)))])
        return self._at(start, known)

    def _at(self, start: Rows, which: Rows | Flags) -> "Tokens":
        return Tokens(start, self.video[which], self.actions[which], self.completion[which], self.occurred_at[which], self.surface[which])


MOST_COMPLETION = 3.0  # replays beyond this say nothing more


def tokens_of(deeds: Deeds, duration_s: Column) -> Tokens:
    """Deeds as tokens; `duration_s` (V,) are the videos', 0 where unknown."""
    owner, video, actions = actions_of(deeds)
    meant = _meant(deeds)
    lasted = duration_s[deeds.rows]
    completion = np.where(lasted > 0, np.minimum(deeds.watched_s / np.where(lasted > 0, lasted, 1.0), MOST_COMPLETION), np.nan)
    occurred_at = np.concatenate([np.nan_to_num(deeds.occurred_at, nan=-np.inf), deeds.signal_at[meant]])
    order = np.lexsort((occurred_at, owner))  # stable: what has no time keeps its order
    start = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=deeds.users))])
    return Tokens(
        start=start,
        video=video[order],
        actions=actions[order],
        completion=np.concatenate([completion, np.full(len(meant), np.nan)])[order].astype(np.float32),
        occurred_at=occurred_at[order],
        surface=np.concatenate([deeds.surface, np.zeros(len(meant), dtype=np.int64)])[order],
    )


def actions_of(deeds: Deeds) -> tuple[Rows, Rows, NDArray[np.uint8]]:
    """Who did what to which video, the watches first: owners, video rows and actions (t,)."""
    meant = _meant(deeds)
    watched = (~deeds.skipped * int(Action.CLICK) | deeds.long_view * int(Action.LONG_VIEW) | (deeds.replays > 0) * int(Action.REPLAY)).astype(np.uint8)
    return (
        np.concatenate([deeds.owner, deeds.signal_owner[meant]]),
        np.concatenate([deeds.rows, deeds.signal_rows[meant]]),
        np.concatenate([watched, _SIGNAL_ACTIONS[deeds.kinds[meant]]]),
    )


def deeds_of(users: Sequence[User]) -> Deeds:
    """What the online store knows that some users did; of long views also those that newer watches have pushed out."""
    watches = [part for user in users for part in (user.long_views, user.watches)]
    signals = [user.signals for user in users]
    everyone = np.arange(len(users))
    return Deeds(
        users=len(users),
        owner=np.repeat(np.repeat(everyone, 2), [len(one) for one in watches]),
        rows=np.concatenate([no_rows(), *(one.video_rows for one in watches)]),
        occurred_at=np.concatenate([_NO_TIMES, *(one.occurred_at for one in watches)]),
        watched_s=np.concatenate([_NO_TIMES, *(one.watched_s for one in watches)]),
        replays=np.concatenate([no_rows(), *(one.replays for one in watches)]),
        skipped=np.concatenate([_NO_FLAGS, *(one.skipped for one in watches)]),
        long_view=np.concatenate([_NO_FLAGS, *(one.long_view for one in watches)]),
        surface=np.concatenate([no_rows(), *(one.surface for one in watches)]),
        signal_owner=np.repeat(everyone, [len(one.kinds) for one in signals]),
        signal_rows=np.concatenate([no_rows(), *(one.video_rows for one in signals)]),
        signal_at=np.concatenate([_NO_TIMES, *(one.occurred_at for one in signals)]),
        kinds=np.concatenate([no_rows(), *(one.kinds for one in signals)]),
    )


def _meant(deeds: Deeds) -> Rows:
    """Which signals are about videos."""
    return np.flatnonzero(_SIGNAL_ACTIONS[deeds.kinds])


def _before(keys: Rows, at: Column, asked: Rows, moments: Column) -> Rows:
    """How many of the (keys, at), which are sorted, come before each (asked, moments), at the same moment none: (n,)."""
    is_question = np.repeat([0, 1], [len(keys), len(asked)])
    order = np.lexsort((1 - is_question, np.concatenate([at, moments]), np.concatenate([keys, asked])))
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.cumsum(1 - is_question[order])
    return places[len(keys) :]


_SIGNAL_ACTIONS = np.zeros(max(Signal) + 1, dtype=np.uint8)  # following and blocking are about authors
_SIGNAL_ACTIONS[[Signal.LIKE, Signal.SHARE, Signal.COMMENT, Signal.HIDE]] = [Action.LIKE, Action.SHARE, Action.COMMENT, Action.HIDE]
_NO_TIMES = np.empty(0, dtype=np.float64)
_NO_FLAGS = np.empty(0, dtype=np.bool_)

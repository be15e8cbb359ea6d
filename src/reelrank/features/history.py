"""What some users did before a moment, one after the other, and what it says of this visit and of their habits."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column, Rows
from reelrank.domain.user import Signal, no_rows
from reelrank.features.reader import Reading
from reelrank.features.windows import Counter, Windowed

Flags = NDArray[np.bool_]  # (n,)

SETTLED_S = 12 * 3600.0  # what a user did since is left out of their rates: right after a hit, the rest of the visit looks like misses
VISIT_GAP_S = 30 * 60.0  # who was away for so long begins a new visit
_ABOUT_S = 2 * 3600.0  # around the same time of the day
_DAY_S = 86_400.0
_LATELY = 20  # watches


class Past(NamedTuple):
    """The watches (w) and signals (s) of some users, one after the other, each user's oldest first."""

    users: int
    moments: Column  # (users,) when each is looked at, UTC seconds
    watch_owner: Rows  # (w,) whose
    watch_rows: Rows  # (w,) of which video
    watch_age_s: Column  # (w,) nan where nobody took the time
    skipped: Flags  # (w,)
    long_view: Flags  # (w,)
    watched_s: Column  # (w,) nan where nobody measured it
    rendition: Rows  # (w,) height of the picture, 0 unknown
    surface: Rows  # (w,) its number, 0 unknown
    signal_owner: Rows  # (s,)
    signal_rows: Rows  # (s,)
    signal_age_s: Column  # (s,)
    kinds: Rows  # (s,) of Signal


def past_of(reading: Reading) -> Past:
    """Gathers what the users of a reading did, with its age at each user's moment."""
    users, moments = reading.users, reading.moments
    everyone = np.arange(len(users))
    watch_owner = np.repeat(everyone, [len(user.watches) for user in users])
    signal_owner = np.repeat(everyone, [len(user.signals.kinds) for user in users])
    watched_at = np.concatenate([_NO_TIMES, *(user.watches.occurred_at for user in users)])
    signalled_at = np.concatenate([_NO_TIMES, *(user.signals.occurred_at for user in users)])
    return Past(
        users=len(everyone),
        moments=moments,
        watch_owner=watch_owner,
        watch_rows=np.concatenate([no_rows(), *(user.watches.video_rows for user in users)]),
        watch_age_s=np.maximum(moments[watch_owner] - watched_at, 0.0),
        skipped=np.concatenate([_NO_FLAGS, *(user.watches.skipped for user in users)]),
        long_view=np.concatenate([_NO_FLAGS, *(user.watches.long_view for user in users)]),
        watched_s=np.concatenate([_NO_TIMES, *(user.watches.watched_s for user in users)]),
        rendition=np.concatenate([no_rows(), *(user.watches.rendition for user in users)]),
        surface=np.concatenate([no_rows(), *(user.watches.surface for user in users)]),
        signal_owner=signal_owner,
        signal_rows=np.concatenate([no_rows(), *(user.signals.video_rows for user in users)]),
        signal_age_s=np.maximum(moments[signal_owner] - signalled_at, 0.0),
        kinds=np.concatenate([no_rows(), *(user.signals.kinds for user in users)]),
    )


def settled(past: Past) -> Windowed:
    """What each user did until `SETTLED_S` ago, as counters (users, COUNTERS)."""
    watches = ~(past.watch_age_s < SETTLED_S)  # so that nan, before anybody took the time, is settled too
    counts = _counted(past, watches)
    likes = ~(past.signal_age_s < SETTLED_S) & (past.kinds == Signal.LIKE)
    counts[:, Counter.LIKES] = np.bincount(past.signal_owner[likes], minlength=past.users)
    return counts


def at_this_hour(past: Past) -> tuple[Windowed, Column]:
    """What each user did on other days within two hours of this time of the day, and how much of their settled past that is.

    Times of the day are compared with each other, so it needs no clock of where the user is: (users, COUNTERS), (users,).
    """
    timed = past.watch_age_s >= SETTLED_S
    apart_s = np.mod(past.watch_age_s, _DAY_S)
    about = timed & (np.minimum(apart_s, _DAY_S - apart_s) <= _ABOUT_S)
    of_all = np.bincount(past.watch_owner[timed], minlength=past.users)
    return _counted(past, about), np.bincount(past.watch_owner[about], minlength=past.users) / np.maximum(of_all, 1)


def visits(past: Past) -> tuple[Rows, Column]:
    """Of each user's visit so far how many videos it had, and how many seconds ago the last one was left, -1 where there is none: (users,), (users,)."""
    timed = np.flatnonzero(~np.isnan(past.watch_age_s))
    owner, age_s = past.watch_owner[timed], past.watch_age_s[timed]
    ends = np.searchsorted(owner, np.arange(past.users), side="right")
    starts = np.searchsorted(owner, np.arange(past.users))
    next_age_s = np.zeros(len(age_s))
    next_age_s[:-1] = np.where(owner[1:] == owner[:-1], age_s[1:], 0.0)
    breaks = np.flatnonzero(age_s - next_age_s >= VISIT_GAP_S)  # after these the user was away
    began = starts.copy()
    began[owner[breaks]] = breaks + 1  # of several the last one stays
    idle_s = np.full(past.users, -1.0)
    somebody = ends > starts
    idle_s[somebody] = age_s[ends[somebody] - 1]
    return ends - began, idle_s


def heights_lately(past: Past) -> Column:
    """The mean height in pixels of what each user was played in their last watches, 0 where nobody said: (users,)."""
    ends = np.searchsorted(past.watch_owner, np.arange(past.users), side="right")
    lately = (np.arange(len(past.watch_owner)) >= ends[past.watch_owner] - _LATELY) & (past.rendition > 0)
    owner = past.watch_owner[lately]
    total = np.bincount(owner, weights=past.rendition[lately], minlength=past.users)  # whole numbers: exact
    return total / np.maximum(np.bincount(owner, minlength=past.users), 1)


def _counted(past: Past, which: Flags) -> Windowed:
    """The outcomes of some of the watches, as counters (users, COUNTERS)."""
    counts = np.zeros((past.users, len(Counter)), dtype=np.int64)
    for counter, chosen in ((Counter.CLICKS, ~past.skipped), (Counter.SKIPS, past.skipped), (Counter.LONG_VIEWS, past.long_view)):
        counts[:, counter] = np.bincount(past.watch_owner[which & chosen], minlength=past.users)
    return counts


_NO_FLAGS = np.empty(0, dtype=np.bool_)
_NO_TIMES = np.empty(0, dtype=np.float64)

"""Habits: how a user's settled watches went, here and with videos of this length, and what a video has in common with the last one."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column, Rows
from reelrank.features.columns import VideoColumns
from reelrank.features.history import SETTLED_S, Past
from reelrank.features.rates import CLICK, LONG_VIEW, MOST_WATCHED, Rates
from reelrank.features.reader import Reading

_SERVED_S = 600.0
_GUESSED_RATIO = 0.5
_PRIOR_USER, _PRIOR_USUAL, _PRIOR_BASE = 8.0, 4.0, 3.0  # how many watches a prior is worth
_LENGTHS = 64  # length classes: a day is in the 32nd

Tally = NDArray[np.float64]  # (n, 4) how many watches and skips, and of these the sums of what _Settled.went holds
Usual = NDArray[np.float64]  # (n, 3) share of watches, share of long views, mean watch ratio


class _Settled(NamedTuple):
    """The t watches and skips of known time until `SETTLED_S` ago, of one user after the other."""

    owner: Rows  # (t,)
    rows: Rows  # (t,)
    surface: Rows  # (t,)
    went: NDArray[np.float64]  # (t, 3) whether it was watched, whether for long, and how often its duration


def encode_habits(reading: Reading, past: Past, columns: VideoColumns, app: Rates) -> dict[str, Column]:
    """Features of n (user, video) pairs, by name."""
    owner, rows, users = reading.owner, reading.rows, reading.users
    settled = _settled(past, columns)
    usual = _drawn(_tally(settled, settled.owner, past.users), np.array([[app[0, CLICK], app[0, LONG_VIEW], _GUESSED_RATIO]]), _PRIOR_USER)
    features: dict[str, Column] = {"user_timed_click_rate": usual[:, 0], "user_timed_long_view_rate": usual[:, 1], "user_watch_ratio": usual[:, 2]}
    base, base_long = (np.array([getattr(user, count) for user in users], dtype=np.float64) for count in ("base_watches", "base_long_views"))
    features["history_watches"] = np.log1p(base)
    features["history_long_view_share"] = (base_long + _PRIOR_BASE * app[0, LONG_VIEW]) / (base + _PRIOR_BASE)
    since_served, served = _served(reading, past)
    features["since_served"] = np.where(since_served < 0, -1.0, np.log1p(np.maximum(since_served, 0.0)))
    features["served_10min"] = np.log1p(served)
    here = (settled.surface == reading.surfaces[settled.owner]) & (settled.surface > 0)
    features |= _named("user_surface", _tally(settled, settled.owner, past.users, here), usual, _PRIOR_USUAL)
    features = {name: values[owner] for name, values in features.items()}

    by_length = _tally(settled, settled.owner * _LENGTHS + columns.length_class[settled.rows], past.users * _LENGTHS)
    features |= _named("user_length", by_length[owner * _LENGTHS + columns.length_class[rows]], usual[owner], _PRIOR_USUAL)
    return features | _previous(reading, past, columns)


def _settled(past: Past, columns: VideoColumns) -> _Settled:
    at = np.flatnonzero(past.watch_age_s >= SETTLED_S)
    rows = past.watch_rows[at]
    ratio = np.minimum(past.watched_s[at] / np.maximum(columns.duration_s[rows], 1.0), MOST_WATCHED)
    went = np.stack([~past.skipped[at], past.long_view[at], np.nan_to_num(ratio)], axis=1, dtype=np.float64)
    return _Settled(past.watch_owner[at], rows, past.surface[at], went)


def _tally(settled: _Settled, keys: Rows, size: int, chosen: NDArray[np.bool_] | slice = slice(None)) -> Tally:
    """Counts the watches, or the chosen ones, by their key (t,): (size, 4)."""
    keys, went = keys[chosen], settled.went[chosen]
    sums = [np.bincount(keys, minlength=size).astype(np.float64), *(np.bincount(keys, weights=column, minlength=size) for column in went.T)]
    return np.stack(sums, axis=1)


def _drawn(tally: Tally, prior: Usual, prior_outcomes: float) -> Usual:
    return (tally[:, 1:] + prior_outcomes * prior) / (tally[:, :1] + prior_outcomes)


def _named(what: str, tally: Tally, prior: Usual, prior_outcomes: float) -> dict[str, Column]:
    drawn = _drawn(tally, prior, prior_outcomes)
    rates = {f"{what}_click_rate": drawn[:, 0], f"{what}_long_view_rate": drawn[:, 1], f"{what}_watch_ratio": drawn[:, 2]}
    return {f"{what}_outcomes": np.log1p(tally[:, 0]), **rates}


def _served(reading: Reading, past: Past) -> tuple[Column, Column]:
    """How many seconds ago each user was given the last slate, -1 for never, and how many videos in the last minutes: (users,), (users,)."""
    since, lately = np.full(past.users, -1.0), np.zeros(past.users)
    for place, user in enumerate(reading.users):
        if len(user.served_at):
            since[place] = max(past.moments[place] - user.served_at[-1], 0.0)
            lately[place] = np.count_nonzero(past.moments[place] - user.served_at <= _SERVED_S)
    return since, lately


def _previous(reading: Reading, past: Past, columns: VideoColumns) -> dict[str, Column]:
    """What the video of each pair has in common with the user's last one whose time is known; how that went is left to the tokens."""
    owner, rows = reading.owner, reading.rows
    timed = np.flatnonzero(~np.isnan(past.watch_age_s))
    video, surface = np.full(past.users, -1), np.zeros(past.users, dtype=np.int64)
    video[past.watch_owner[timed]], surface[past.watch_owner[timed]] = past.watch_rows[timed], past.surface[timed]  # of several the last one stays
    before = video[owner]
    slots = 0 if columns.count == 0 else int((columns.tag_rows[video] >= 0).any(axis=0).sum())  # most have few tags, and these come first
    same_tag = np.zeros(len(rows), dtype=np.bool_)
    tags, theirs = columns.tag_rows[before, :slots], reading.tag_rows
    for slot in range(slots):
        same_tag |= (theirs == tags[:, slot, None]).any(axis=1) & (tags[:, slot] >= 0)
    same = {
        "previous_same_author": columns.author_row[before] == columns.author_row[rows],
        "previous_same_tag": same_tag,
        "previous_same_surface": ((surface > 0) & (surface == reading.surfaces))[owner],
    }
    return {name: (values & (before >= 0)).astype(np.float64) for name, values in same.items()}

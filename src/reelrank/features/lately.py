"""Lately: how a user's watches went up to this very moment: in windows of minutes, here, with videos of this length, and the last one."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.user import Rows
from reelrank.features.columns import VideoColumns
from reelrank.features.history import Past
from reelrank.features.rates import CLICK, LONG_VIEW, MOST_WATCHED, Column, Rates
from reelrank.features.reader import Reading
from reelrank.features.windows import Counter

_WINDOWS_S = {"1d": 86_400.0, "30min": 1_800.0, "10min": 600.0, "1min": 60.0}
_SERVED_S = 600.0
_GUESSED_RATIO = 0.5
_PRIOR_USER, _PRIOR_USUAL, _PRIOR_LATELY, _PRIOR_BASE = 8.0, 4.0, 2.0, 3.0  # how many watches a prior is worth
_LENGTHS = 64  # length classes: a day is in the 32nd

Tally = NDArray[np.float64]  # (n, 4) how many watches and skips, and of these the sums of what _Timed.went holds
Usual = NDArray[np.float64]  # (n, 3) share of watches, share of long views, mean watch ratio


class _Timed(NamedTuple):
    """The t watches and skips whose time is known, of one user after the other, each user's oldest first."""

    owner: Rows  # (t,)
    rows: Rows  # (t,)
    age_s: Column  # (t,)
    surface: Rows  # (t,)
    went: NDArray[np.float64]  # (t, 3) whether it was watched, whether for long, and how often its duration


def encode_lately(reading: Reading, past: Past, columns: VideoColumns, app: Rates) -> dict[str, Column]:
    """Features of n (user, video) pairs, by name."""
    owner, rows, users = reading.owner, reading.rows, reading.users
    timed = _timed(past, columns)
    usual = _usual(reading, timed, app)
    features: dict[str, Column] = {"user_click_rate_now": usual[:, 0], "user_long_view_rate_now": usual[:, 1], "user_watch_ratio": usual[:, 2]}
    for name, seconds in _WINDOWS_S.items():
        inside = timed.age_s <= seconds
        tally = _tally(timed, inside, timed.owner, past.users)
        drawn = _drawn(tally, usual, _PRIOR_LATELY)
        features |= {f"user_outcomes_{name}": np.log1p(tally[:, 0]), f"user_click_rate_{name}": drawn[:, 0], f"user_long_view_rate_{name}": drawn[:, 1]}
    base, base_long = (np.array([getattr(user, count) for user in users], dtype=np.float64) for count in ("base_watches", "base_long_views"))
    features["history_watches"] = np.log1p(base)
    features["history_long_view_share"] = (base_long + _PRIOR_BASE * app[0, LONG_VIEW]) / (base + _PRIOR_BASE)
    since_served, served = _served(reading, past)
    features["since_served"] = np.where(since_served < 0, -1.0, np.log1p(np.maximum(since_served, 0.0)))
    features["served_10min"] = np.log1p(served)
    here = _tally(timed, (timed.surface == reading.surfaces[timed.owner]) & (timed.surface > 0), timed.owner, past.users)
    features |= _named("user_surface", here, _drawn(here, usual, _PRIOR_USUAL))
    features = {name: values[owner] for name, values in features.items()}

    every = np.ones(len(timed.rows), dtype=np.bool_)
    by_length = _tally(timed, every, timed.owner * _LENGTHS + columns.length_class[timed.rows], past.users * _LENGTHS)[
        owner * _LENGTHS + columns.length_class[rows]
    ]
    features |= _named("user_length", by_length, _drawn(by_length, usual[owner], _PRIOR_USUAL))
    return features | _previous(reading, timed, usual, columns)


def _timed(past: Past, columns: VideoColumns) -> _Timed:
    at = np.flatnonzero(~np.isnan(past.watch_age_s))
    rows = past.watch_rows[at]
    ratio = np.minimum(past.watched_s[at] / np.maximum(columns.duration_s[rows], 1.0), MOST_WATCHED)
    went = np.stack([~past.skipped[at], past.long_view[at], np.nan_to_num(ratio)], axis=1, dtype=np.float64)
    return _Timed(past.watch_owner[at], rows, past.watch_age_s[at], past.surface[at], went)


def _usual(reading: Reading, timed: _Timed, app: Rates) -> Usual:
    """How things usually go for each user, up to this moment and without a base history, of which nobody knows what was left early: (users, 3)."""
    kept = _tally(timed, np.ones(len(timed.rows), dtype=np.bool_), timed.owner, len(reading.users))
    counts = np.array([user.counts for user in reading.users], dtype=np.int64).reshape(-1, len(Counter))
    base = np.array([(user.base_watches, user.base_long_views) for user in reading.users], dtype=np.int64).reshape(-1, 2)
    ever = np.zeros_like(kept)
    ever[:, 0] = np.maximum(counts[:, Counter.CLICKS] + counts[:, Counter.SKIPS] - base[:, 0], 0)
    ever[:, 1] = np.maximum(counts[:, Counter.CLICKS] - base[:, 1], 0)
    ever[:, 2] = np.maximum(counts[:, Counter.LONG_VIEWS] - base[:, 1], 0)
    everyones = np.array([[app[0, CLICK], app[0, LONG_VIEW], _GUESSED_RATIO]])
    usual = _drawn(ever, everyones, _PRIOR_USER)
    usual[:, 2] = _drawn(kept, everyones, _PRIOR_USER)[:, 2]  # sums of ratios are not counted: that of the watches that are kept
    return usual


def _tally(timed: _Timed, chosen: NDArray[np.bool_], keys: Rows, size: int) -> Tally:
    """Counts the chosen watches by their key (t,): (size, 4)."""
    keys, went = keys[chosen], timed.went[chosen]
    sums = [np.bincount(keys, minlength=size).astype(np.float64), *(np.bincount(keys, weights=column, minlength=size) for column in went.T)]
    return np.stack(sums, axis=1)


def _drawn(tally: Tally, prior: Usual, prior_outcomes: float) -> Usual:
    return (tally[:, 1:] + prior_outcomes * prior) / (tally[:, :1] + prior_outcomes)


def _named(what: str, tally: Tally, drawn: Usual) -> dict[str, Column]:
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


def _previous(reading: Reading, timed: _Timed, usual: Usual, columns: VideoColumns) -> dict[str, Column]:
    """How each user's last watch went, as usual before the first, and what it has in common with the video of each pair."""
    owner, rows = reading.owner, reading.rows
    everyone = np.arange(len(reading.users))
    begin, end = np.searchsorted(timed.owner, everyone), np.searchsorted(timed.owner, everyone, side="right")
    known, last = end > begin, end - 1
    went = usual.copy()
    went[known] = timed.went[last[known]]
    video, surface = np.full(len(everyone), -1), np.zeros(len(everyone), dtype=np.int64)
    video[known], surface[known] = timed.rows[last[known]], timed.surface[last[known]]
    before = video[owner]
    tags = columns.tag_rows[before]
    shared = ((tags[:, :, None] == columns.tag_rows[rows][:, None, :]) & (tags >= 0)[:, :, None]).any(axis=(1, 2))
    same = {
        "previous_same_author": columns.author_row[before] == columns.author_row[rows],
        "previous_same_tag": shared,
        "previous_same_surface": ((surface > 0) & (surface == reading.surfaces))[owner],
    }
    return {
        "previous_click": went[owner, 0],
        "previous_long_view": went[owner, 1],
        "previous_watch_ratio": went[owner, 2],
        **{name: (values & (before >= 0)).astype(np.float64) for name, values in same.items()},
    }

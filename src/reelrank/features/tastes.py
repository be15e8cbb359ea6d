"""Tastes: what a user's watches and signals say of an author, a sound, a tag or a length, against how things usually go for them."""

from typing import NamedTuple

import numpy as np

from reelrank.domain.arrays import Column, Rows
from reelrank.domain.user import Signal
from reelrank.features.history import Past
from reelrank.features.rates import CLICK, LONG_VIEW, Rates

_PRIOR_AVERAGE = 20.0  # watches that everybody's average is worth before a user's own counts
_TASTE_SHRINKAGE = 2.0  # a taste needs this much decayed evidence to count half
_UNTIMED_WEIGHT = 0.4  # evidence of an entry whose time nobody knows
_SKIP_VALUE, _CLICK_VALUE, _LONG_VIEW_VALUE = -0.5, 0.2, 1.0
_SIGNAL_VALUE = {Signal.LIKE: 2.0, Signal.SHARE: 2.5, Signal.COMMENT: 1.5, Signal.HIDE: -4.0}
_TABLE = 1 << 14  # numbers between the first and the last
_SIGNAL_WEIGHT = 3.0  # a like is meant: it says as much as three watches
_signal_values = np.array([0.0, *(_SIGNAL_VALUE.get(signal, 0.0) for signal in Signal)])


class Evidence(NamedTuple):
    """What m watches and signals of some users say."""

    owner: Rows  # (m,) whose
    rows: Rows  # (m,) about which video
    surplus: Column  # (m,) how much better it went than this user's average
    weight: Column  # (m,) decayed


def evidence(past: Past, app: Rates, half_life_s: float) -> Evidence:
    """What watches and signals say: how much better than the user's average each went, decayed with its age."""
    outcome = np.where(past.skipped, _SKIP_VALUE, np.where(past.long_view, _LONG_VIEW_VALUE, _CLICK_VALUE))
    watch_weight = _decayed(past.watch_age_s, half_life_s)
    # a like stands out from what this user usually does with a video: only outcomes make the average
    click, long_view = app[0, CLICK], app[0, LONG_VIEW]
    everyones = long_view * _LONG_VIEW_VALUE + (click - long_view) * _CLICK_VALUE + (1 - click) * _SKIP_VALUE
    total = np.bincount(past.watch_owner, weights=watch_weight * outcome, minlength=past.users)
    average = (total + _PRIOR_AVERAGE * everyones) / (np.bincount(past.watch_owner, weights=watch_weight, minlength=past.users) + _PRIOR_AVERAGE)
    owner = np.concatenate([past.watch_owner, past.signal_owner])
    value = np.concatenate([outcome, _signal_values[past.kinds]])
    return Evidence(
        owner=owner,
        rows=np.concatenate([past.watch_rows, past.signal_rows]),
        surplus=value - average[owner],
        weight=np.concatenate([watch_weight, _SIGNAL_WEIGHT * _decayed(past.signal_age_s, half_life_s)]),
    )


def _decayed(age_s: Column, half_life_s: float) -> Column:
    return np.where(np.isnan(age_s), _UNTIMED_WEIGHT, 0.5 ** (age_s / half_life_s))


def affinity(known: Evidence, keys: Rows, owner: Rows, wanted: Rows) -> Column:
    """How much better than their average things went for each user with each of `wanted` (n,): 0 without evidence.

    Evidence i is about `keys[i]` (m,), wanted j is asked for user `owner[j]`. Shrunk towards 0 by
    `_TASTE_SHRINKAGE`, so that one watch is a hint and ten are a taste. Key -1 belongs to nobody.
    """
    if len(keys) == 0:
        return np.zeros(len(wanted))
    distinct, places = np.unique(paired(known.owner, keys), return_inverse=True)
    weight = np.bincount(places, weights=known.weight)
    surplus = np.bincount(places, weights=known.weight * known.surplus)
    found = places_in(distinct, paired(owner, wanted))
    return np.where((found >= 0) & (wanted >= 0), (surplus / (weight + _TASTE_SHRINKAGE))[found], 0.0)


def tag_affinity(known: Evidence, tags: Rows, owner: Rows, wanted: Rows) -> Column:
    """The mean affinity over the tags of each video (n, T); 0 for one without tags. `tags` (m, T) are those of the evidence."""
    slots = tags.shape[1]
    has = tags.ravel() >= 0
    slot_of = np.repeat(np.arange(len(known.owner)), slots)[has]
    by_tag = Evidence(known.owner[slot_of], known.rows[slot_of], known.surplus[slot_of], known.weight[slot_of])
    asked, per_tag = wanted >= 0, np.zeros(wanted.shape)
    count = asked.sum(axis=1)
    per_tag[asked] = affinity(by_tag, tags.ravel()[has], np.repeat(owner, count), wanted[asked])
    return per_tag.sum(axis=1) / np.maximum(count, 1)


def paired(owner: Rows, keys: Rows) -> Rows:
    """One number for a user's view of a key."""
    return owner << 40 | keys + 1


def places_in(distinct: Rows, asked: Rows) -> Rows:
    """Where `asked` (n,) stand among numbers that ascend (m, at least one): (n,), -1 for those that do not.

    Those that lie close together, as one user's do, are looked up in a table: a fifth of what searching takes.
    """
    first, last = int(distinct[0]), int(distinct[-1])
    if last - first >= _TABLE:
        found = np.minimum(np.searchsorted(distinct, asked), len(distinct) - 1)
        return np.where(distinct[found] == asked, found, -1)
    table = np.zeros(last - first + 2, dtype=np.int32)  # one more, for whatever lies outside
    table[distinct - first] = np.arange(1, len(distinct) + 1)
    within = np.where((asked >= first) & (asked <= last), asked - first, last - first + 1)
    return table.take(within).astype(np.int64) - 1

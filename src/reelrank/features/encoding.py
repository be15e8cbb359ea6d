"""Turns what was read into the feature matrix. Pure arithmetic: the same state and the same moment give the same bits."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.event import Context
from reelrank.domain.params import FeedParams
from reelrank.domain.user import Rows, Signal, User
from reelrank.domain.video import MAX_TAGS
from reelrank.features import windows
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import COLUMN, WIDTH
from reelrank.features.history import Past, at_this_hour, heights_lately, past_of, settled, visits
from reelrank.features.moment import bandwidths, device_class, hours, network_class, rendition_fit, stalls, weekdays
from reelrank.features.reader import CounterView, Reading, place_keys
from reelrank.features.velocity import velocity
from reelrank.features.windows import Counter, Windowed

# how many outcomes a prior is worth
_PRIOR_APP, _PRIOR_AUTHOR, _PRIOR_VIDEO_1D, _PRIOR_USER, _PRIOR_GUESS, _PRIOR_PLACE, _PRIOR_WATCHES = 20.0, 15.0, 10.0, 8.0, 100.0, 10.0, 5.0
_RATED = (Counter.CLICKS, Counter.LONG_VIEWS, Counter.LIKES, Counter.COMPLETIONS)  # the columns of every matrix of rates
_IMPRESSIONS = slice(Counter.IMPRESSIONS, Counter.IMPRESSIONS + 1)
_CLICK, _LONG_VIEW, _LIKE, _COMPLETION = range(len(_RATED))
_GUESS = np.array([[0.5, 0.3, 0.02, 0.25]])  # before the first event
_PRIOR_AVERAGE = 20.0  # watches that everybody's average is worth before a user's own counts
_TASTE_SHRINKAGE = 2.0  # a taste needs this much decayed evidence to count half
_UNTIMED_WEIGHT = 0.4  # evidence of an entry whose time nobody knows
_SKIP_VALUE, _CLICK_VALUE, _LONG_VIEW_VALUE = -0.5, 0.2, 1.0
_SIGNAL_VALUE = {Signal.LIKE: 2.0, Signal.SHARE: 2.5, Signal.COMMENT: 1.5, Signal.HIDE: -4.0}
_SIGNAL_WEIGHT = 3.0  # a like is meant: it says as much as three watches
_signal_values = np.array([0.0, *(_SIGNAL_VALUE.get(signal, 0.0) for signal in Signal)])

Column = NDArray[np.float64]  # (n,)
Rates = NDArray[np.float64]  # (n, len(_RATED))


class Evidence(NamedTuple):
    """What m watches and signals of some users say."""

    owner: Rows  # (m,) whose
    rows: Rows  # (m,) about which video
    surplus: Column  # (m,) how much better it went than this user's average
    weight: Column  # (m,) decayed


def encode(reading: Reading, columns: VideoColumns, now: Column, contexts: Sequence[Context], params: FeedParams) -> NDArray[np.float32]:
    """The features of n (user, video) pairs, each at its own moment `now` (n,): (n, F), co_watch left at 0.

    `contexts` holds one context per user of the reading.
    """
    rows, owner = reading.rows, reading.owner
    features = np.zeros((len(rows), WIDTH), dtype=np.float32)

    def put(name: str, values: Column) -> None:
        features[:, COLUMN[name]] = values

    app = _rates(windows.totals(reading.everything), _GUESS, _PRIOR_GUESS)  # (1, rated)
    for name, rated in (("app_click_rate", _CLICK), ("app_long_view_rate", _LONG_VIEW), ("app_like_rate", _LIKE)):
        put(name, app[:, rated])
    past = past_of(reading, now)
    users = _rates(settled(past), app, _PRIOR_USER)
    user = users[owner]
    put("user_outcomes", np.log1p([user.counts[Counter.CLICKS] + user.counts[Counter.SKIPS] for user in reading.users])[owner])
    for name, rated in (("user_click_rate", _CLICK), ("user_long_view_rate", _LONG_VIEW), ("user_like_rate", _LIKE)):
        put(name, user[:, rated])

    totals, hour, day = windows.totals(reading.video), windows.window(reading.video, "1h", now, _IMPRESSIONS), windows.window(reading.video, "1d", now)
    author = _rates(reading.author.totals(), app, _PRIOR_APP)[reading.author.places(columns.author_row[rows])]
    video = _rates(totals, author, _PRIOR_AUTHOR)
    put("video_outcomes", np.log1p(_outcomes(totals)))
    put("video_click_rate", video[:, _CLICK])
    put("video_long_view_rate", video[:, _LONG_VIEW])
    put("video_like_rate", video[:, _LIKE])
    put("video_completion_rate", video[:, _COMPLETION])
    put("video_long_view_rate_1d", _rates(day, video, _PRIOR_VIDEO_1D)[:, _LONG_VIEW])
    put("video_outcomes_1d", np.log1p(_outcomes(day)))
    put("video_impressions_1h", np.log1p(hour[:, 0]))
    put("video_velocity", np.log2(velocity(reading.video, now)))
    put("author_long_view_rate", author[:, _LONG_VIEW])
    tags = reading.tag.places(columns.tag_rows[rows].ravel()).reshape(-1, MAX_TAGS)
    sounds = reading.sound.places(columns.sound_row[rows])
    put("tag_long_view_rate", _mean_tag_rate(reading.tag, tags, app))
    put("tag_velocity", _fastest(reading.tag, tags, now))
    put("sound_long_view_rate", _rates(reading.sound.totals(), app, _PRIOR_APP)[sounds, _LONG_VIEW])
    put("sound_velocity", _fastest(reading.sound, sounds[:, None], now))
    put("duration", np.log1p(columns.duration_s[rows]))
    put("age", np.log1p(np.maximum(now - columns.uploaded_at[rows], 0.0) / 3600))

    known = evidence(past, app, params.taste_half_life_s)
    put("taste_author", affinity(known, columns.author_row[known.rows], owner, columns.author_row[rows]))
    put("taste_sound", affinity(known, columns.sound_row[known.rows], owner, columns.sound_row[rows]))
    put("taste_duration", affinity(known, columns.length_class[known.rows], owner, columns.length_class[rows]))
    put("taste_tag", _tag_affinity(known, columns.tag_rows[known.rows], owner, columns.tag_rows[rows]))

    bandwidth = bandwidths(contexts)[owner]
    put("local_hour", hours(contexts)[owner])
    put("local_weekday", weekdays(contexts, past.moments)[owner])
    put("device", np.array([device_class(context.device) for context in contexts], dtype=np.float64)[owner])
    put("network", np.array([network_class(context.network) for context in contexts], dtype=np.float64)[owner])
    put("bandwidth", np.log1p(bandwidth))

    everyones_stalls = stalls(windows.totals(reading.everything), 0.0)
    put("user_stalls", stalls(_counts(reading.users), everyones_stalls)[owner])
    put("video_stalls", stalls(totals, everyones_stalls))
    put("user_height", heights_lately(past)[owner] / 1000)
    put("video_height", columns.height[rows] / 1000)
    put("rendition_fit", rendition_fit(bandwidth, columns.bitrate_kbps[rows].astype(np.float64)))

    from_rows, at_rows = columns.place_row[rows], reading.place_rows[owner]
    here = reading.place.places(place_keys(at_rows, rows))
    counted_here = reading.place.totals()[here]
    put("same_place", ((from_rows >= 0) & (from_rows == at_rows)).astype(np.float64))
    put("user_place_share", _place_share(past, columns.place_row[past.watch_rows], owner, from_rows))
    put("place_outcomes", np.log1p(_outcomes(counted_here)))
    put("place_long_view_rate", _rates(counted_here, video, _PRIOR_PLACE)[:, _LONG_VIEW])
    put("place_velocity", _fastest(reading.place, here[:, None], now))

    depth, idle_s = visits(past)
    usual, share = at_this_hour(past)
    put("visit_depth", np.log1p(depth)[owner])
    put("idle", np.where(idle_s < 0, -1.0, np.log1p(np.maximum(idle_s, 0.0)))[owner])
    put("hour_share", share[owner])
    put("hour_long_view_rate", _rates(usual, users, _PRIOR_USER)[owner, _LONG_VIEW])
    return features


def evidence(past: Past, app: Rates, half_life_s: float) -> Evidence:
    """What watches and signals say: how much better than the user's average each went, decayed with its age."""
    outcome = np.where(past.skipped, _SKIP_VALUE, np.where(past.long_view, _LONG_VIEW_VALUE, _CLICK_VALUE))
    watch_weight = _decayed(past.watch_age_s, half_life_s)
    # a like stands out from what this user usually does with a video: only outcomes make the average
    click, long_view = app[0, _CLICK], app[0, _LONG_VIEW]
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
    distinct, places = np.unique(_paired(known.owner, keys), return_inverse=True)
    weight = np.bincount(places, weights=known.weight)
    surplus = np.bincount(places, weights=known.weight * known.surplus)
    asked = _paired(owner, wanted)
    found = np.minimum(np.searchsorted(distinct, asked), len(distinct) - 1)
    return np.where((distinct[found] == asked) & (wanted >= 0), surplus[found] / (weight[found] + _TASTE_SHRINKAGE), 0.0)


def _tag_affinity(known: Evidence, tags: Rows, owner: Rows, wanted: Rows) -> Column:
    """The mean affinity over the tags of each video (n, T); 0 for one without tags. `tags` (m, T) are those of the evidence."""
    slots = tags.shape[1]
    has = tags.ravel() >= 0
    slot_of = np.repeat(np.arange(len(known.owner)), slots)[has]
    by_tag = Evidence(known.owner[slot_of], known.rows[slot_of], known.surplus[slot_of], known.weight[slot_of])
    per_tag = affinity(by_tag, tags.ravel()[has], np.repeat(owner, slots), wanted.ravel()).reshape(wanted.shape)
    return per_tag.sum(axis=1) / np.maximum((wanted >= 0).sum(axis=1), 1)


def _paired(owner: Rows, keys: Rows) -> Rows:
    """One number for a user's view of a key."""
    return owner << 40 | keys + 1


def _mean_tag_rate(view: CounterView, tags: Rows, app: Rates) -> Column:
    """The mean smoothed long view rate of the tags of each video, given by their places (n, T) in the view; everybody's for one without tags."""
    rates = _rates(view.totals(), app, _PRIOR_APP)[:, _LONG_VIEW][tags]
    has = tags < len(view.keys)
    count = has.sum(axis=1)
    return np.where(count > 0, (rates * has).sum(axis=1) / np.maximum(count, 1), app[0, _LONG_VIEW])


def _fastest(view: CounterView, places: Rows, now: Column) -> Column:
    """log2 of the velocity of the fastest of what lies at `places` (n, T) of a view, each at its moment `now` (n,): (n,), 0 where nothing is there.

    Each of what a view has is worked out once per moment: a tag is of many videos.
    """
    known = len(view.keys)
    pairs, slots = np.nonzero(places < known)
    fastest = np.full(len(places), -np.inf)
    if len(pairs) == 0:
        return np.zeros(len(places))
    moments, at = np.unique(now, return_inverse=True)
    asked, where = np.unique(at[pairs] * known + places[pairs, slots], return_inverse=True)
    found = np.log2(velocity(view.records[asked % known], moments[asked // known]))
    np.maximum.at(fastest, pairs, found[where])
    return np.where(np.isinf(fastest), 0.0, fastest)


def _place_share(past: Past, places: Rows, owner: Rows, wanted: Rows) -> Column:
    """The share of each user's watches, of videos from `places` (w,), that were of videos from each of `wanted` (n,); 0 for -1."""
    watched = ~past.skipped
    of_user = np.bincount(past.watch_owner[watched], minlength=past.users)
    distinct, times = np.unique(_paired(past.watch_owner[watched], places[watched]), return_counts=True)
    if len(distinct) == 0:
        return np.zeros(len(wanted))
    asked = _paired(owner, wanted)
    found = np.minimum(np.searchsorted(distinct, asked), len(distinct) - 1)
    return np.where((distinct[found] == asked) & (wanted >= 0), times[found] / (of_user[owner] + _PRIOR_WATCHES), 0.0)


def _counts(users: Sequence[User]) -> Windowed:
    """The counters of users: (users, COUNTERS)."""
    return np.array([user.counts for user in users], dtype=np.int64).reshape(len(users), len(Counter))


def _rates(counts: Windowed, prior: Rates, prior_outcomes: float) -> Rates:
    """Bayesian smoothing: `prior_outcomes` imagined outcomes at the rates `prior` come before the counted ones."""
    rates = (counts[:, _RATED] + prior * prior_outcomes) / (_outcomes(counts) + prior_outcomes)[:, None]
    return np.clip(rates, 0.0, 1.0)


def _outcomes(counts: Windowed) -> Column:
    """How often somebody watched or skipped."""
    return (counts[:, Counter.CLICKS] + counts[:, Counter.SKIPS]).astype(np.float64)

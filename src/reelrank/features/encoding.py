"""Turns what was read into the feature matrix. Pure arithmetic: the same state and the same moment give the same bits."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column, Rows
from reelrank.domain.event import Context
from reelrank.domain.params import FeedParams
from reelrank.domain.user import User
from reelrank.domain.video import MAX_TAGS
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import COLUMN, WIDTH
from reelrank.features.habits import encode_habits
from reelrank.features.history import Past, at_this_hour, heights_lately, past_of, settled, visits
from reelrank.features.moment import bandwidths, device_class, hours, network_class, rendition_fit, stalls, weekdays
from reelrank.features.rates import CLICK, COMPLETION, LIKE, LONG_VIEW, Rates, outcomes, smoothed
from reelrank.features.reader import Reading
from reelrank.features.standings import Standings
from reelrank.features.surfaces import encode_surfaces
from reelrank.features.tastes import affinity, evidence, paired, places_in, tag_affinity
from reelrank.features.velocity import now_and_lately, ratio
from reelrank.features.windows import Counter, Windowed

# how many outcomes a prior is worth
_PRIOR_APP, PRIOR_AUTHOR, _PRIOR_LATELY, _PRIOR_USER, _PRIOR_GUESS, _PRIOR_PLACE, _PRIOR_WATCHES = 20.0, 15.0, 10.0, 8.0, 100.0, 10.0, 5.0
_GUESS = np.array([[0.5, 0.3, 0.02, 0.25]])  # before the first event


def encode(reading: Reading, columns: VideoColumns, contexts: Sequence[Context], params: FeedParams) -> NDArray[np.float32]:
    """The features of n (user, video) pairs, each at the moment of its user: (n, F), co_watch left at 0.

    `contexts` holds one context per user of the reading.
    """
    rows, owner, now = reading.rows, reading.owner, reading.now
    features = np.zeros((WIDTH, len(rows)), dtype=np.float32)  # they are written and read one feature at a time

    def put(name: str, values: Column) -> None:
        features[COLUMN[name]] = values

    app = smoothed(reading.everything.totals, _GUESS, _PRIOR_GUESS)  # (1, rated)
    for name, rated in (("app_click_rate", CLICK), ("app_long_view_rate", LONG_VIEW), ("app_like_rate", LIKE)):
        put(name, app[:, rated])
    past = past_of(reading)
    users = smoothed(settled(past), app, _PRIOR_USER)
    user = users[owner]
    put("user_outcomes", np.log1p([user.counts[Counter.CLICKS] + user.counts[Counter.SKIPS] for user in reading.users])[owner])
    for name, rated in (("user_click_rate", CLICK), ("user_long_view_rate", LONG_VIEW), ("user_like_rate", LIKE)):
        put(name, user[:, rated])

    totals, hour, day = reading.video.totals, reading.video.hour, reading.video.day
    author = smoothed(reading.author.totals, app, _PRIOR_APP)
    video = smoothed(totals, author, PRIOR_AUTHOR)
    put("video_outcomes", np.log1p(outcomes(totals)))
    put("video_click_rate", video[:, CLICK])
    put("video_long_view_rate", video[:, LONG_VIEW])
    put("video_like_rate", video[:, LIKE])
    put("video_completion_rate", video[:, COMPLETION])
    of_day = smoothed(day, video, _PRIOR_LATELY)
    of_hour = smoothed(hour, of_day, _PRIOR_LATELY)
    for name, rates in (("1d", of_day), ("1h", of_hour)):
        put(f"video_click_rate_{name}", rates[:, CLICK])
        put(f"video_long_view_rate_{name}", rates[:, LONG_VIEW])
    put("video_outcomes_1d", np.log1p(outcomes(day)))
    put("video_impressions_1h", np.log1p(hour[:, Counter.IMPRESSIONS]))
    put("video_velocity", _speed(reading.video, now))
    put("author_click_rate", author[:, CLICK])
    put("author_long_view_rate", author[:, LONG_VIEW])
    put("tag_long_view_rate", _mean_tag_rate(reading, app))
    put("tag_velocity", _fastest_tag(reading))
    put("sound_long_view_rate", smoothed(reading.sound.totals, app, _PRIOR_APP)[:, LONG_VIEW])
    put("sound_velocity", np.where(reading.sounded, _speed(reading.sound, now), 0.0))
    put("duration", np.log1p(columns.duration_s[rows]))
    put("age", np.log1p(np.maximum(now - columns.uploaded_at[rows], 0.0) / 3600))

    known = evidence(past, app, params.taste_half_life_s)
    put("taste_author", affinity(known, columns.author_row[known.rows], owner, columns.author_row[rows]))
    put("taste_sound", affinity(known, columns.sound_row[known.rows], owner, columns.sound_row[rows]))
    put("taste_duration", affinity(known, columns.length_class[known.rows], owner, columns.length_class[rows]))
    put("taste_tag", tag_affinity(known, columns.tag_rows[known.rows], owner, reading.tag_rows))

    bandwidth = bandwidths(contexts)[owner]
    put("local_hour", hours(contexts)[owner])
    put("local_weekday", weekdays(contexts, past.moments)[owner])
    put("device", np.array([device_class(context.device) for context in contexts], dtype=np.float64)[owner])
    put("network", np.array([network_class(context.network) for context in contexts], dtype=np.float64)[owner])
    put("bandwidth", np.log1p(bandwidth))

    everyones_stalls = stalls(reading.everything.totals, 0.0)
    put("user_stalls", stalls(_counts(reading.users), everyones_stalls)[owner])
    put("video_stalls", stalls(totals, everyones_stalls))
    put("user_height", heights_lately(past)[owner] / 1000)
    put("video_height", columns.height[rows] / 1000)
    put("rendition_fit", rendition_fit(bandwidth, columns.bitrate_kbps[rows].astype(np.float64)))

    from_rows, at_rows = columns.place_row[rows], reading.place_rows[owner]
    counted_here = reading.place.totals
    put("same_place", ((from_rows >= 0) & (from_rows == at_rows)).astype(np.float64))
    put("user_place_share", _place_share(past, columns.place_row[past.watch_rows], owner, from_rows))
    put("place_outcomes", np.log1p(outcomes(counted_here)))
    put("place_long_view_rate", smoothed(counted_here, video, _PRIOR_PLACE)[:, LONG_VIEW])
    put("place_velocity", np.where(reading.placed, _speed(reading.place, now), 0.0))

    depth, idle_s = visits(past)
    usual, share = at_this_hour(past)
    put("visit_depth", np.log1p(depth)[owner])
    put("idle", np.where(idle_s < 0, -1.0, np.log1p(np.maximum(idle_s, 0.0)))[owner])
    put("hour_share", share[owner])
    put("hour_long_view_rate", smoothed(usual, users, _PRIOR_USER)[owner, LONG_VIEW])
    for encoded in (encode_habits(reading, past, columns, app), encode_surfaces(reading, columns, app, video)):
        for name, values in encoded.items():
            put(name, values)
    return features.T


def _mean_tag_rate(reading: Reading, app: Rates) -> Column:
    """The mean smoothed long view rate of the tags of each video: (n,), everybody's for one without tags."""
    rates = np.zeros((len(reading.rows), MAX_TAGS))
    rates[reading.tag_at] = smoothed(reading.tag.totals, app, _PRIOR_APP)[:, LONG_VIEW]
    count = np.bincount(reading.tag_at[0], minlength=len(reading.rows))
    return np.where(count > 0, rates.sum(axis=1) / np.maximum(count, 1), app[0, LONG_VIEW])


def _fastest_tag(reading: Reading) -> Column:
    """log2 of the velocity of the fastest tag of each video: (n,), 0 for one without tags."""
    pairs, _ = reading.tag_at
    now = reading.now
    speeds = np.full((len(reading.rows), MAX_TAGS), -np.inf)
    speeds[reading.tag_at] = _speed(reading.tag, now if len(now) == 1 else now[pairs])
    fastest = speeds.max(axis=1, initial=-np.inf)
    return np.where(np.isinf(fastest), 0.0, fastest)


def _speed(standings: Standings, now: Column) -> Column:
    """log2 of the velocities (m,) at `now` (m,), or (1,) for all of them."""
    return np.log2(ratio(*now_and_lately(standings.paces, now)))


def _place_share(past: Past, places: Rows, owner: Rows, wanted: Rows) -> Column:
    """The share of each user's watches, of videos from `places` (w,), that were of videos from each of `wanted` (n,); 0 for -1."""
    watched = ~past.skipped
    of_user = np.bincount(past.watch_owner[watched], minlength=past.users)
    distinct, times = np.unique(paired(past.watch_owner[watched], places[watched]), return_counts=True)
    if len(distinct) == 0:
        return np.zeros(len(wanted))
    places = places_in(distinct, paired(owner, wanted))
    return np.where((places >= 0) & (wanted >= 0), times[places] / (of_user[owner] + _PRIOR_WATCHES), 0.0)


def _counts(users: Sequence[User]) -> Windowed:
    """The counters of users: (users, COUNTERS)."""
    return np.array([user.counts for user in users], dtype=np.int64).reshape(len(users), len(Counter))

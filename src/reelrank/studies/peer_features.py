"""What a careful team without a feature stream would learn from: KuaiRand's counts and rates up to the day before, from the raw files.

Independent of everything that the running system computes, so that a peer trained on them judges our features, too.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from reelrank.studies.peer_likeness import likeness

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Features = dict[str, NDArray[Any]]  # name -> (n,)

_LABELS = ("is_click", "long_view", "is_like")
_RATES = ("click", "long_view", "like", "completion", "log_watched")
_PROFILE = (
    "is_lowactive_period", "is_live_streamer", "is_video_author", "follow_user_num", "fans_user_num", "friend_user_num", "register_days",
    *(f"onehot_feat{number}" for number in range(18)),
)  # fmt: skip
_HOUR_MS, _BEIJING_MS = 3_600_000, 8 * 3_600_000
_MOST_COMPLETION = 3.0  # replays beyond this say nothing more
_GUESS = np.array([1.0, 0.5, 0.3, 0.02, 0.6, 2.0])  # an impression and its outcomes before anybody has seen any
_PRIOR_USER, _PRIOR_VIDEO, _PRIOR_GROUP, _PRIOR_PAIR = 10.0, 20.0, 50.0, 4.0  # impressions that a prior is worth


def daily_features(folder: Path) -> Features:
    """One column for each number that is known of an exposure at the end of the day before it, in the order of time: name -> (n,) float32.

    The log in `folder` is that of `simulation.kuairand`.
    """
    log = pl.read_parquet(folder / "impressions.parquet").with_row_index("row").sort("time_ms", "row")
    videos, users = pl.read_parquet(folder / "videos.parquet"), pl.read_parquet(folder / "users.parquet")
    history = pl.read_parquet(folder / "history.parquet")
    user, video = log["user_id"].cast(pl.Int64).to_numpy(), log["video_id"].cast(pl.Int64).to_numpy()
    of_video = _places(videos["video_id"], video)
    day = np.unique(log["date"].to_numpy(), return_inverse=True)[1]
    duration_s = _duration_s(log, videos, of_video)
    outcomes = _outcomes(log, duration_s)

    features: Features = {"surface": log["tab"].to_numpy(), **_moment(log["time_ms"].to_numpy())}
    features |= _video_traits(videos, of_video, log["time_ms"].to_numpy()) | {"duration_s": duration_s}
    features |= _profile(users, _places(users["user_id"], user))
    features |= _base_history(history, _places(history["user_id"], user), log["time_ms"].to_numpy())

    everyone, _ = until_yesterday(np.zeros_like(day), day, outcomes)
    prior = _smoothed(everyone, _GUESS, _PRIOR_GROUP)
    by_user = _counted(features, "user", user, day, outcomes, prior, _PRIOR_USER)
    by_author = _counted(features, "author", _codes(videos["author_id"])[of_video], day, outcomes, prior, _PRIOR_GROUP, rates=("click", "long_view"))
    by_video = _counted(features, "video", video, day, outcomes, by_author, _PRIOR_VIDEO)
    _counted(features, "sound", _codes(videos["music_id"])[of_video], day, outcomes, prior, _PRIOR_GROUP, rates=("long_view",))
    tag = _codes(videos["tag"].str.split(",").list.first())[of_video]
    _counted(features, "tag", tag, day, outcomes, prior, _PRIOR_GROUP, rates=("long_view",))
    _counted(features, "user_tag", user * (tag.max() + 1) + tag, day, outcomes, by_user, _PRIOR_PAIR, rates=("long_view",))
    _counted(features, "video_surface", video * 64 + log["tab"].to_numpy(), day, outcomes, by_video, _PRIOR_VIDEO, rates=("click", "long_view"))
    features |= likeness(user, video, day, outcomes[:, 1] > 0, history)
    return {name: values.astype(np.float32) for name, values in features.items()}


def until_yesterday(keys: Ints, day: Ints, values: Floats) -> tuple[Floats, Floats]:
    """For each of n rows the sums (n, c) of `values` (n, c) over the rows with its key on all days before its own, and on the day before alone."""
    distinct, place = np.unique(keys, return_inverse=True)
    days = int(day.max()) + 1
    cell = place * days + day
    by_day = np.stack([np.bincount(cell, weights=column, minlength=len(distinct) * days) for column in values.T], axis=1, dtype=np.float64).reshape(
        len(distinct), days, -1
    )
    before = np.cumsum(by_day, axis=1) - by_day
    yesterday = np.where((day > 0)[:, None], by_day[place, np.maximum(day - 1, 0)], 0.0)
    return before[place, day], yesterday


def _counted(features: Features, name: str, keys: Ints, day: Ints, outcomes: Floats, prior: Floats, worth: float, rates: tuple[str, ...] = _RATES) -> Floats:
    """Adds how often and how well it went for `keys` (n,) until yesterday, and gives all rates (n, 1 + RATES) as the prior of something finer."""
    ever, yesterday = until_yesterday(keys, day, outcomes)
    smoothed = _smoothed(ever, prior, worth)
    features[f"{name}_count"] = np.log1p(ever[:, 0])
    for rate in rates:
        features[f"{name}_{rate}"] = smoothed[:, 1 + _RATES.index(rate)]
    if rates == _RATES:
        features[f"{name}_count_1d"] = np.log1p(yesterday[:, 0])
        features[f"{name}_long_view_1d"] = _smoothed(yesterday, smoothed, worth)[:, 2]
    return smoothed


def _smoothed(sums: Floats, prior: Floats, worth: float) -> Floats:
    return (sums + worth * prior) / (sums[:, :1] + worth)


def _outcomes(log: pl.DataFrame, duration_s: Floats) -> Floats:
    """An impression, then what came of it: (n, 1 + RATES)."""
    watched_s = log["play_time_ms"].to_numpy() / 1000
    labels = [(log[label] == 1).to_numpy() for label in _LABELS]
    completion = np.minimum(watched_s / np.maximum(duration_s, 1.0), _MOST_COMPLETION)
    return np.stack([np.ones(len(log)), *labels, completion, np.log1p(watched_s)], axis=1).astype(np.float64)


def _moment(time_ms: Ints) -> Features:
    hours = (time_ms + _BEIJING_MS) // _HOUR_MS
    return {"hour": hours % 24, "weekday": hours // 24 % 7}


def _duration_s(log: pl.DataFrame, videos: pl.DataFrame, of_video: Ints) -> Floats:
    """How long each exposure's video is: as the catalogue says, else as the log says."""
    known = videos["video_duration"].cast(pl.Float64).to_numpy()[of_video] / 1000
    logged = log["duration_ms"].cast(pl.Float64).to_numpy() / 1000
    return np.where(known > 0, known, logged)


def _video_traits(videos: pl.DataFrame, of_video: Ints, time_ms: Ints) -> Features:
    uploaded_ms = videos["upload_dt"].str.to_date().cast(pl.Datetime("ms")).dt.epoch("ms").to_numpy() - _BEIJING_MS
    traits = {name: _codes(videos[name]) for name in ("video_type", "upload_type", "music_type")}
    traits |= {name: videos[name].cast(pl.Float64).to_numpy() for name in ("server_width", "server_height")}
    return {name: values[of_video] for name, values in traits.items()} | {"age_days": (time_ms - uploaded_ms[of_video]) / (24 * _HOUR_MS)}


def _profile(users: pl.DataFrame, of_user: Ints) -> Features:
    columns = {"active_degree": _codes(users["user_active_degree"]).astype(np.float64)}
    columns |= {name: users[name].cast(pl.Float64).to_numpy() for name in _PROFILE}
    return {f"profile_{name}": np.where(of_user >= 0, values[of_user], np.nan) for name, values in columns.items()}


def _base_history(history: pl.DataFrame, of_user: Ints, time_ms: Ints) -> Features:
    """What is known of a user's watches before the log begins; nan where there were none."""
    watched, long, liked = (history[name].list.len().to_numpy() for name in ("watch_seq", "long_watch_seq", "like_seq"))
    columns = {"length": np.log1p(history["history_len"].to_numpy()), "long": long / np.maximum(watched, 1), "liked": liked / np.maximum(watched, 1)}
    features = {f"history_{name}": np.where(of_user >= 0, values[of_user], np.nan) for name, values in columns.items()}
    gap_ms = time_ms - history["last_time_ms"].to_numpy()[of_user]
    return features | {"history_gap_days": np.where(of_user >= 0, gap_ms / (24 * _HOUR_MS), np.nan)}


def _places(known: pl.Series, wanted: Ints) -> Ints:
    """Where each of `wanted` (n,) stands in a column of ids, -1 where it does not."""
    ids = known.cast(pl.Int64).to_numpy()
    order = np.argsort(ids)
    at = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    return np.where(ids[at] == wanted, at, -1)


def _codes(column: pl.Series) -> Ints:
    """Equal values as equal numbers from 0."""
    return np.unique(column.cast(pl.String).fill_null("").to_numpy().astype(np.str_), return_inverse=True)[1]

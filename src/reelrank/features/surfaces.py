"""Surfaces: how things go where in the app the user is, in all, with videos of this length, and with this video."""

import numpy as np

from reelrank.domain.arrays import Column
from reelrank.features import windows
from reelrank.features.columns import VideoColumns
from reelrank.features.history import Past
from reelrank.features.rates import CLICK, LONG_VIEW, Rates, outcomes, smoothed, watch_ratio
from reelrank.features.reader import Reading, pair_keys

_GUESSED_RATIO = 0.5
_PRIOR_SURFACE, _PRIOR_SURFACE_1D, _PRIOR_LENGTH, _PRIOR_VIDEO, _PRIOR_WATCHED = 50.0, 20.0, 30.0, 10.0, 15.0  # how many outcomes a prior is worth


def encode_surfaces(reading: Reading, past: Past, columns: VideoColumns, app: Rates, video: Rates, week: windows.Windowed) -> dict[str, Column]:
    """Features of n (user, video) pairs, by name; `video` (n, rated) and `week` (n, COUNTERS) are of the videos anywhere, in all and in the last seven days."""
    owner, rows = reading.owner, reading.rows
    counted = reading.surface.of(reading.surface_keys)
    surface = smoothed(windows.totals(counted), app, _PRIOR_SURFACE)
    day = smoothed(windows.window(counted, "1d", past.moments), surface, _PRIOR_SURFACE_1D)
    here, duration_s = reading.surface_keys[owner], columns.duration_s[rows]
    of_length = reading.surface_length.totals()[reading.surface_length.places(pair_keys(here, columns.length_class[rows]))]
    length, length_ratio = smoothed(of_length, surface[owner], _PRIOR_LENGTH), watch_ratio(of_length, duration_s, _GUESSED_RATIO, _PRIOR_LENGTH)
    ratio = watch_ratio(week, duration_s, length_ratio, _PRIOR_WATCHED)
    of_video = reading.surface_video.totals()[reading.surface_video.places(pair_keys(here, rows))]
    video_here = smoothed(of_video, video, _PRIOR_VIDEO)
    return {
        "surface_click_rate": surface[owner, CLICK],
        "surface_long_view_rate": surface[owner, LONG_VIEW],
        "surface_click_rate_1d": day[owner, CLICK],
        "surface_long_view_rate_1d": day[owner, LONG_VIEW],
        "surface_length_click_rate": length[:, CLICK],
        "surface_length_long_view_rate": length[:, LONG_VIEW],
        "surface_length_watch_ratio": length_ratio,
        "video_surface_outcomes": np.log1p(outcomes(of_video)),
        "video_surface_click_rate": video_here[:, CLICK],
        "video_surface_long_view_rate": video_here[:, LONG_VIEW],
        "video_surface_watch_ratio": watch_ratio(of_video, duration_s, ratio, _PRIOR_VIDEO),
        "video_watch_ratio": ratio,
    }

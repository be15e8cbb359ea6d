"""Surfaces: how things go where in the app the user is, in all, with videos of this length, and with this video."""

import numpy as np

from reelrank.domain.arrays import Column
from reelrank.features.columns import VideoColumns
from reelrank.features.rates import CLICK, LONG_VIEW, Rates, outcomes, smoothed, watch_ratio
from reelrank.features.reader import Reading

_GUESSED_RATIO = 0.5
_PRIOR_SURFACE, _PRIOR_SURFACE_1D, _PRIOR_LENGTH, _PRIOR_VIDEO, _PRIOR_WATCHED = 50.0, 20.0, 30.0, 10.0, 15.0  # how many outcomes a prior is worth


def encode_surfaces(reading: Reading, columns: VideoColumns, app: Rates, video: Rates) -> dict[str, Column]:
    """Features of n (user, video) pairs, by name; `video` (n, rated) is of the videos anywhere."""
    owner, duration_s = reading.owner, columns.duration_s[reading.rows]
    surface = smoothed(reading.surface.totals, app, _PRIOR_SURFACE)
    day = smoothed(reading.surface.day, surface, _PRIOR_SURFACE_1D)
    of_length, of_video = reading.surface_length.totals, reading.surface_video.totals
    length, length_ratio = smoothed(of_length, surface[owner], _PRIOR_LENGTH), watch_ratio(of_length, duration_s, _GUESSED_RATIO, _PRIOR_LENGTH)
    ratio = watch_ratio(reading.video.week, duration_s, length_ratio, _PRIOR_WATCHED)
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

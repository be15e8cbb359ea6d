"""Rates: counted outcomes as shares, drawn towards what is known of the group, the more so the fewer there are."""

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column
from reelrank.features.windows import Counter, Windowed

Rates = NDArray[np.float64]  # (n, len(RATED))

RATED = (Counter.CLICKS, Counter.LONG_VIEWS, Counter.LIKES, Counter.COMPLETIONS)  # the columns of every matrix of rates
CLICK, LONG_VIEW, LIKE, COMPLETION = range(len(RATED))
MOST_WATCHED = 3.0  # times its duration that a watch counts for: who lets a video loop all night says no more


def smoothed(counts: Windowed, prior: Rates, prior_outcomes: float) -> Rates:
    """Bayesian smoothing: `prior_outcomes` imagined outcomes at the rates `prior` come before the counted ones."""
    rates = (counts.take(RATED, axis=1) + prior * prior_outcomes) / (outcomes(counts) + prior_outcomes)[:, None]
    return np.minimum(np.maximum(rates, 0.0, out=rates), 1.0, out=rates)


def watch_ratio(counts: Windowed, duration_s: Column, prior: Column | float, prior_outcomes: float) -> Column:
    """How often its duration a video is watched for on average, smoothed in the same way: (n,) from 0 to `MOST_WATCHED`."""
    times = counts[:, Counter.WATCHED_DS] / (10.0 * np.maximum(duration_s, 1.0))
    return np.clip((times + prior * prior_outcomes) / (outcomes(counts) + prior_outcomes), 0.0, MOST_WATCHED)


def outcomes(counts: Windowed) -> Column:
    """How often somebody watched or skipped."""
    return (counts[:, Counter.CLICKS] + counts[:, Counter.SKIPS]).astype(np.float64)

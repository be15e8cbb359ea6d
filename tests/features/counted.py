"""Counters made by hand, increment by increment."""

from collections.abc import Sequence

import numpy as np

from reelrank.features import windows
from reelrank.features.windows import COUNTERS, Counters


def added(state: Counters, increments: Sequence[tuple[int, float, int, int]]) -> Counters:
    """`state` after the increments (place, moment in UTC seconds, counter, amount)."""
    amounts = np.zeros((len(increments), COUNTERS))
    for entry, (_, _, counter, amount) in enumerate(increments):
        amounts[entry, counter] = amount
    places = np.array([place for place, *_ in increments], dtype=np.int64)
    moments = np.array([int(moment) for _, moment, *_ in increments], dtype=np.int64)
    return windows.fold(state, places, np.arange(len(increments)), moments, amounts)

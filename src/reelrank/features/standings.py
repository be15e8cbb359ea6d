"""Standings: what counters say at a moment, worked out from their rings; they stay the same until more is counted or a bucket of time ends."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column
from reelrank.features import velocity, windows
from reelrank.features.velocity import Paces
from reelrank.features.windows import COUNTERS, Counters, Windowed

_MOST = np.iinfo(np.int32).max


class Standings(NamedTuple):
    """What m records say, each at a moment of its own or all at one. Which windows there are depends on whose they are."""

    totals: Windowed  # (m, COUNTERS) all that was ever counted
    hour: Windowed  # (m, COUNTERS) of the last hour, whole buckets
    day: Windowed  # (m, COUNTERS)
    week: Windowed  # (m, COUNTERS)
    paces: Paces  # (m, 4) as from `velocity.paces`


class Parts(NamedTuple):
    """Which parts of a standing somebody needs; the others are left empty (0, …)."""

    hour: bool = False
    day: bool = False
    week: bool = False
    paces: bool = False


EVERYTHING = Parts(hour=True, day=True, week=True, paces=True)
_NO_COUNTS: Windowed = np.empty((0, COUNTERS), dtype=np.int64)
_NO_PACES: Paces = np.empty((0, 4))


def standings_of(state: Counters, now: Column, parts: Parts = EVERYTHING) -> Standings:
    """What records (m, WIDTH) say at `now` (m,) UTC seconds."""
    return Standings(
        np.minimum(windows.totals(state), _MOST),
        np.minimum(windows.window(state, "1h", now), _MOST) if parts.hour else _NO_COUNTS,
        np.minimum(windows.window(state, "1d", now), _MOST) if parts.day else _NO_COUNTS,
        np.minimum(windows.window(state, "7d", now), _MOST) if parts.week else _NO_COUNTS,
        velocity.paces(state, now) if parts.paces else _NO_PACES,
    )


class StandingTable:
    """Room for standings, in a row each, and how long each holds."""

    def __init__(self, rows: int) -> None:
        self._counts: NDArray[np.int32] = np.zeros((rows, len(_WINDOWED), COUNTERS), dtype=np.int32)
        self._paces: Paces = np.zeros((rows, 4))
        self._since, self._until = np.full(rows, -np.inf), np.full(rows, -np.inf)  # the moments between which they hold
        self._until[0] = np.inf  # row 0 is of whatever was never counted

    def hold(self, rows: NDArray[np.int64], now: float) -> NDArray[np.bool_]:
        """Whether what stands in `rows` (m,) holds at `now`."""
        return (self._since[rows] <= now) & (now < self._until[rows])

    def forget(self, rows: NDArray[np.int64]) -> None:
        """More was counted."""
        self._until[rows[rows > 0]] = -np.inf

    def put(self, rows: NDArray[np.int64], state: Counters, now: float) -> None:
        """Works out what records (m, WIDTH) say, which holds from `now` on."""
        found = standings_of(state, np.full(len(rows), now))
        for place, name in enumerate(_WINDOWED):
            self._counts[rows, place] = getattr(found, name)
        self._paces[rows] = found.paces
        self._since[rows], self._until[rows] = now, windows.steady_until(state, now)

    def take(self, rows: NDArray[np.int64], parts: Parts) -> Standings:
        """What stands in `rows` (m,)."""

        def counts(place: int, wanted: bool = True) -> Windowed:
            return self._counts[rows, place].astype(np.int64) if wanted else _NO_COUNTS

        return Standings(
            counts(0), counts(1, parts.hour), counts(2, parts.day), counts(3, parts.week), self._paces.take(rows, axis=0) if parts.paces else _NO_PACES
        )


_WINDOWED = ("totals", "hour", "day", "week")

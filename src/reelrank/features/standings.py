"""Standings: what counters say at a moment, worked out from their rings; they stay the same until more is counted or a bucket of time ends."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column
from reelrank.features import velocity, windows
from reelrank.features.velocity import PACED, Paces
from reelrank.features.windows import COUNTERS, TOTALS_END, WIDTH, WINDOWS, Counters, Windowed

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
    """What records (m, WIDTH), or as many numbers of them as the parts take, say at `now` (m,) UTC seconds."""

    def counted(part: str) -> Windowed:
        return windows.totals(state) if part == "totals" else np.minimum(windows.window(state, _WINDOWS[part], now), _MOST)

    return _NOTHING._replace(**{part: counted(part) for part in _counted(parts)}, paces=velocity.paces(state, now) if parts.paces else _NO_PACES)


class StandingTable:
    """Room for standings, in a row each, and how long each holds."""

    def __init__(self, rows: int) -> None:
        self._counts: dict[str, NDArray[np.int32]] = {name: np.zeros((rows, COUNTERS), dtype=np.int32) for name in _COUNTED}
        self._paces: Paces = np.zeros((rows, 4))
        self._since, self._until = np.full(rows, -np.inf), np.full(rows, -np.inf)  # the moments between which they hold
        self._until[0] = np.inf  # row 0 is of whatever was never counted

    def hold(self, rows: NDArray[np.int64], now: float) -> NDArray[np.bool_]:
        """Whether what stands in `rows` (m,) holds at `now`."""
        return (self._since.take(rows) <= now) & (now < self._until.take(rows))

    def forget(self, rows: NDArray[np.int64]) -> None:
        """More was counted."""
        self._until[rows[rows > 0]] = -np.inf

    def put(self, rows: NDArray[np.int64], state: Counters, now: float, parts: Parts) -> None:
        """Works out some parts of what records (m, `numbers_for` these) say, which hold around `now`; the others stay what they were."""
        found = standings_of(state, np.full(len(rows), now), parts)
        for name in _counted(parts):
            self._counts[name][rows] = getattr(found, name)
        if parts.paces:
            self._paces[rows] = found.paces
        rings = _rings(parts)
        self._since[rows], self._until[rows] = windows.steady_since(now, rings), windows.steady_until(state, now, rings)

    def take(self, rows: NDArray[np.int64], parts: Parts) -> Standings:
        """What stands in `rows` (m,)."""
        counts = {name: self._counts[name].take(rows, axis=0).astype(np.int64) for name in _counted(parts)}
        return _NOTHING._replace(**counts, paces=self._paces.take(rows, axis=0) if parts.paces else _NO_PACES)


def numbers_for(parts: Parts) -> int:
    """How many numbers of a record it takes to work out some parts."""
    return WIDTH if any(parts) else TOTALS_END


def _counted(parts: Parts) -> list[str]:
    return ["totals", *(name for name in _WINDOWS if getattr(parts, name))]


def _rings(parts: Parts) -> set[int]:
    """Which rings parts are read from: what is read from none stays until more is counted."""
    return {WINDOWS[name][0] for part, name in _WINDOWS.items() if getattr(parts, part)} | set(PACED if parts.paces else ())


_WINDOWS = {"hour": "1h", "day": "1d", "week": "7d"}
_COUNTED = ("totals", *_WINDOWS)
_NOTHING = Standings(_NO_COUNTS, _NO_COUNTS, _NO_COUNTS, _NO_COUNTS, _NO_PACES)

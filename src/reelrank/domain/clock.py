"""Where time comes from: the system's clock, a shifted one for logs of the past, a hand-set one for tests."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time in UTC seconds."""

    def now(self) -> float: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()


class ShiftedClock:
    """Runs with the machine's clock, a constant number of seconds away from it.

    A log of the past is served as if its last event had just happened: windows, trends and freshness
    then mean what they meant on that day.
    """

    def __init__(self, shift_s: float) -> None:
        self.shift_s = shift_s

    def now(self) -> float:
        return time.time() + self.shift_s


class ManualClock:
    """Stands still until it is told the time."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def advance_to(self, now: float) -> None:
        """Moves forward to `now` (UTC seconds); a clock never runs backwards."""
        self._now = max(self._now, now)

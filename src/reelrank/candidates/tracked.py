"""Tracked: what everything of a kind drew lately, followed change by change instead of read as a whole."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.candidates.rows import strongest
from reelrank.domain.arrays import Rows
from reelrank.domain.user import no_rows
from reelrank.features import velocity, windows
from reelrank.features.reader import FeatureReader
from reelrank.features.velocity import Paces
from reelrank.features.windows import Counter, Counters, Windowed
from reelrank.storage.counter_store import Kind

Values = NDArray[np.float64]

_WORTH = {Counter.LONG_VIEWS: 1.0, Counter.LIKES: 3.0, Counter.SHARES: 4.0, Counter.COMMENTS: 2.0, Counter.FOLLOWS: 4.0, Counter.HIDES: -4.0}
_COUNTED = slice(min(_WORTH), max(_WORTH) + 1)  # of the counters those that are worth something lie in here
HOURS = {"7d": 168.0, "1d": 24.0, "1h": 1.0, "5min": 1 / 12}  # longest first: each is the prior of the next
_AT_A_TIME = 2_048  # an unpacked record of counters takes 1.7 kB: requests that run beside this wait for a few milliseconds at most
_FIRST = 4_096  # records per refresh while they are read for the first time: so few that requests beside it are hardly slower
_AGAIN, _LIVELY = 8_192, 2_000  # at most so many per refresh whose time is up: the longest outdated, the strongest of the last hour and of the last day each
_LIVELY_WINDOWS = [list(HOURS).index("1h"), list(HOURS).index("1d")]


def engagement(state: Counters, now: float) -> Values:
    """What videos (n, WIDTH) drew in each window of `_HOURS`, and ever: (n, windows + 1)."""
    counted = [windows.window(state, name, now, _COUNTED) for name in HOURS] + [windows.totals(state)[:, _COUNTED]]
    return np.stack([_worth(counts) for counts in counted], axis=1)


def _worth(counted: Windowed) -> Values:
    """What counts (n, …) of the counters in `_COUNTED` are worth: (n,), never less than nothing."""
    return np.maximum(counted @ np.array([_WORTH.get(counter, 0.0) for counter in list(Counter)[_COUNTED]]), 0.0)


class Seen(NamedTuple):
    """What n keys drew as of one moment: columns of length n."""

    keys: Rows  # (n,) ascending
    drawn: Values  # (n, windows + 1) as from `engagement`
    paces: Paces  # (n, 4) as from `velocity.paces`
    until: Values  # (n,) how long all this holds if nothing more is counted
    at: float  # the moment, UTC seconds

    @staticmethod
    def nothing() -> "Seen":
        return Seen(np.empty(0, dtype=np.int64), np.empty((0, len(HOURS) + 1)), np.empty((0, 4)), np.empty(0), 0.0)

    def take(self, which: NDArray[np.bool_] | Rows | slice) -> "Seen":
        return Seen(self.keys[which], self.drawn[which], self.paces[which], self.until[which], self.at)

    def between(self, low: int, high: int) -> "Seen":
        """The keys in [low, high)."""
        begin, end = np.searchsorted(self.keys, [low, high])
        return self.take(slice(begin, end))

    def summed(self, groups: Rows) -> "Seen":
        """The sums over each of the groups that every key belongs to, `groups` (n, g), -1 for none; the keys are then the groups'."""
        owners, slots = np.nonzero(groups >= 0)
        keys, places = np.unique(groups[owners, slots], return_inverse=True)

        def totals(columns: Values) -> Values:
            summed = [np.bincount(places, weights=column[owners], minlength=len(keys)) for column in columns.T]
            return np.stack(summed, axis=1).astype(np.float64)

        until = np.full(len(keys), np.inf)
        np.minimum.at(until, places, self.until[owners])
        return Seen(keys, totals(self.drawn), totals(self.paces), until, self.at)

    def renewed(self, fresh: "Seen") -> "Seen":
        """With the keys of `fresh` as they are there, and as of its moment."""
        if len(fresh.keys) == 0:
            return self._replace(at=fresh.at)
        places = np.searchsorted(self.keys, fresh.keys)
        known = places < len(self.keys)
        known[known] = self.keys[places[known]] == fresh.keys[known]
        new, before = fresh.take(~known), places[~known]
        both = Seen(  # copies: others may be reading these
            np.insert(self.keys, before, new.keys),
            np.insert(self.drawn, before, new.drawn, axis=0),
            np.insert(self.paces, before, new.paces, axis=0),
            np.insert(self.until, before, new.until),
            fresh.at,
        )
        places = np.searchsorted(both.keys, fresh.keys)
        both.drawn[places], both.paces[places], both.until[places] = fresh.drawn, fresh.paces, fresh.until
        return both


class Tracked:
    """Reads at a refresh what was touched since the last one and what time has changed; the first refreshes read everything, a stretch each.

    Where time has changed too much at once, the strong and the longest outdated go first. What nobody touches only falls, so what is
    read late is ranked too high by a little and never too low. Of more than `most` keys the weakest go. `first` are read at the first refresh.
    """

    def __init__(self, reader: FeatureReader, kind: Kind, most: int, first: Rows | None = None) -> None:
        self._reader = reader
        self._kind = kind
        self._most = most
        self._first = no_rows() if first is None else first
        self._next = 0  # key that the stretch begins with
        self.filled = False  # everything was read at least once
        self.seen = Seen.nothing()

    def strongest(self, count: int) -> Rows:
        """The keys that drew the most in the longest window."""
        return self.seen.keys[strongest(self.seen.drawn[:, 0], count)]

    def begin_again(self) -> None:
        """Reads everything as if for the first time: too much was missed, or time went back."""
        self.filled, self._next = False, 0

    def refresh(self, now: float, touched: Rows) -> None:
        wanted = np.union1d(np.union1d(touched, self._first), self._outdated(now))
        self._first = no_rows()
        pieces = [self._read(wanted[at : at + _AT_A_TIME], now) for at in range(0, len(wanted), _AT_A_TIME)]
        seen = self.seen.renewed(_together(pieces, now))
        self.seen = self._strong_of(seen)

    def fill(self, now: float) -> None:
        """Reads the next stretch, until everything was read at least once."""
        if self.filled:
            return
        found = _together(self._stretch(now), now)
        if len(self.seen.keys) >= self._most:
            found = found.take(found.drawn[:, 0] > self.seen.drawn[:, 0].min())  # the others would only come and go
        self.seen = self._strong_of(self.seen.renewed(found))

    def _strong_of(self, seen: Seen) -> Seen:
        return seen.take(np.sort(strongest(seen.drawn[:, 0], self._most))) if len(seen.keys) > self._most else seen

    def _outdated(self, now: float) -> Rows:
        """The keys whose windows do not hold any more."""
        old = self.seen.take(np.flatnonzero(self.seen.until <= now))
        if len(old.keys) <= _AGAIN:
            return old.keys
        first = [strongest(old.drawn[:, window], _LIVELY) for window in _LIVELY_WINDOWS] + [strongest(-old.until, _AGAIN)]
        return old.keys[np.concatenate(first)]

    def _stretch(self, now: float) -> list[Seen]:
        """The next records of those that are read for the first time."""
        pieces: list[Seen] = []
        for _ in range(0, _FIRST, _AT_A_TIME):
            keys, state = self._reader.scan(self._kind, self._next, at_most=_AT_A_TIME)
            pieces.append(_seen(keys, state, now))
            if len(keys) < _AT_A_TIME:
                self.filled = True
                break
            self._next = int(keys[-1]) + 1
        return pieces

    def _read(self, keys: Rows, now: float) -> Seen:
        return _seen(keys, self._reader.counters(self._kind, keys), now)


def _seen(keys: Rows, state: Counters, now: float) -> Seen:
    until = windows.steady_until(state, now)
    drawn, paces = np.zeros((len(keys), len(HOURS) + 1)), np.zeros((len(keys), 4))
    drawn[:, -1] = _worth(windows.totals(state)[:, _COUNTED])
    lively = np.flatnonzero(until < np.inf)  # of the others, which are many, all windows are empty
    state = state[lively]
    drawn[lively], paces[lively] = engagement(state, now), velocity.paces(state, np.full(len(lively), now))
    return Seen(keys, drawn, paces, until, now)


def _together(pieces: Sequence[Seen], now: float) -> Seen:
    """Pieces one after the other, as of `now`."""
    pieces = [Seen.nothing(), *pieces]
    return Seen(
        np.concatenate([piece.keys for piece in pieces]),
        np.concatenate([piece.drawn for piece in pieces]),
        np.concatenate([piece.paces for piece in pieces]),
        np.concatenate([piece.until for piece in pieces]),
        now,
    )

"""Tracked: what everything of a kind drew lately, followed change by change instead of read as a whole."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.candidates.rows import strongest
from reelrank.domain.user import Rows
from reelrank.features import windows
from reelrank.features.reader import FeatureReader
from reelrank.features.velocity import now_and_lately
from reelrank.features.windows import COUNTERS, Counter, Counters
from reelrank.storage.counter_store import Kind

Values = NDArray[np.float64]

_WORTH = {Counter.LONG_VIEWS: 1.0, Counter.LIKES: 3.0, Counter.SHARES: 4.0, Counter.COMMENTS: 2.0, Counter.FOLLOWS: 4.0, Counter.HIDES: -4.0}
HOURS = {"7d": 168.0, "1d": 24.0, "1h": 1.0, "5min": 1 / 12}  # longest first: each is the prior of the next
_AT_A_TIME = 2_048  # an unpacked record of counters takes 1.7 kB: requests that run beside this wait for a few milliseconds at most
_FIRST, _AGAIN = 65_536, 8_192  # records per refresh while they are read for the first time, and afterwards
_LIVELY = 2_000  # the strongest of the last hour and of the last day each are looked at every time: they fall by themselves
_LIVELY_WINDOWS = [list(HOURS).index("1h"), list(HOURS).index("1d")]


def engagement(state: Counters, now: float) -> Values:
    """What videos (n, WIDTH) drew in each window of `_HOURS`, and ever: (n, windows + 1)."""
    worth = np.zeros(COUNTERS)
    worth[list(_WORTH)] = list(_WORTH.values())
    counted = [windows.window(state, name, now) for name in HOURS] + [windows.totals(state)]
    return np.stack([np.maximum(counts @ worth, 0.0) for counts in counted], axis=1)


class Seen(NamedTuple):
    """What n keys drew, as columns of length n."""

    keys: Rows  # (n,) ascending
    drawn: Values  # (n, windows + 1) as from `engagement`
    now: Values  # (n,) the decayed count of now
    expected: Values  # (n,) what it would be at the pace of lately

    @staticmethod
    def nothing() -> "Seen":
        return Seen(np.empty(0, dtype=np.int64), np.empty((0, len(HOURS) + 1)), np.empty(0), np.empty(0))

    def take(self, which: NDArray[np.bool_] | Rows) -> "Seen":
        return Seen(self.keys[which], self.drawn[which], self.now[which], self.expected[which])

    def between(self, low: int, high: int) -> "Seen":
        """The keys in [low, high)."""
        begin, end = np.searchsorted(self.keys, [low, high])
        return Seen(self.keys[begin:end], self.drawn[begin:end], self.now[begin:end], self.expected[begin:end])

    def summed(self, groups: Rows) -> "Seen":
        """The sums over each of the groups that every key belongs to, `groups` (n, g), -1 for none; the keys are then the groups'."""
        owners, slots = np.nonzero(groups >= 0)
        keys, places = np.unique(groups[owners, slots], return_inverse=True)

        def total(column: Values) -> Values:
            return np.bincount(places, weights=column[owners], minlength=len(keys)).astype(np.float64)

        drawn = [total(self.drawn[:, window]) for window in range(self.drawn.shape[1])]
        return Seen(keys, np.stack(drawn, axis=1), total(self.now), total(self.expected))

    def renewed(self, fresh: "Seen") -> "Seen":
        """With the keys of `fresh` as they are there."""
        kept = self.take(~np.isin(self.keys, fresh.keys))
        both = _together([kept, fresh])
        return both.take(np.argsort(both.keys, kind="stable"))


class Tracked:
    """Reads at a refresh what was touched since the last one, what was strong, and a stretch of the rest in turn.

    What nobody touches only falls, so what is read late is ranked too high by a little and never too low. Of more than `most` keys the weakest go.
    """

    def __init__(self, reader: FeatureReader, kind: Kind, most: int) -> None:
        self._reader = reader
        self._kind = kind
        self._most = most
        self._next = 0  # key that the stretch begins with
        self.filled = False  # everything was read at least once
        self.seen = Seen.nothing()

    def begin_again(self) -> None:
        """Reads everything as if for the first time: too much was missed."""
        self.filled, self._next = False, 0

    def refresh(self, now: float, touched: Rows) -> None:
        seen = self.seen
        lively = [seen.keys[strongest(seen.drawn[:, window], _LIVELY)] for window in _LIVELY_WINDOWS]
        wanted = np.unique(np.concatenate([touched, *lively]))
        pieces = [self._read(wanted[at : at + _AT_A_TIME], now) for at in range(0, len(wanted), _AT_A_TIME)]
        pieces += self._stretch(_AGAIN if self.filled else _FIRST, now)
        for fresh in _joined(pieces):
            seen = seen.renewed(fresh)
        if len(seen.keys) > self._most:
            seen = seen.take(np.sort(strongest(seen.drawn[:, 0], self._most)))
        self.seen = seen

    def _stretch(self, records: int, now: float) -> list[Seen]:
        """The next so many records; at the end it begins anew the next time."""
        pieces: list[Seen] = []
        for _ in range(0, records, _AT_A_TIME):
            keys, state = self._reader.scan(self._kind, self._next, at_most=_AT_A_TIME)
            if len(keys):
                pieces.append(_seen(keys, state, now))
            if len(keys) < _AT_A_TIME:
                self._next, self.filled = 0, True
                break
            self._next = int(keys[-1]) + 1
        return pieces

    def _read(self, keys: Rows, now: float) -> Seen:
        return _seen(keys, self._reader.counters(self._kind, keys), now)


def _seen(keys: Rows, state: Counters, now: float) -> Seen:
    return Seen(keys, engagement(state, now), *now_and_lately(state, np.full(len(keys), now)))


def _joined(pieces: list[Seen]) -> list[Seen]:
    """One piece with every key once, as the last of the pieces has it; none of none."""
    if not pieces:
        return []
    joined = _together(pieces[::-1])
    _, first = np.unique(joined.keys, return_index=True)
    return [joined.take(first)]


def _together(pieces: list[Seen]) -> Seen:
    return Seen(
        np.concatenate([piece.keys for piece in pieces]),
        np.concatenate([piece.drawn for piece in pieces]),
        np.concatenate([piece.now for piece in pieces]),
        np.concatenate([piece.expected for piece in pieces]),
    )

"""A user as the feed sees one: what was watched, done, followed, blocked and served lately."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from reelrank.domain.arrays import Rows

_YEAR_S = 366 * 86_400.0  # never shorter than a year: nobody counts as older than they are
_SAME_S = 0.0005  # moments are stored in milliseconds


def no_rows() -> Rows:
    """No videos, or no authors."""
    return np.empty(0, dtype=np.int64)


def _no_times() -> NDArray[np.float64]:
    return np.empty(0, dtype=np.float64)


def _no_flags() -> NDArray[np.bool_]:
    return np.empty(0, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Watches:
    """The last watches and skips of a user, oldest first; all columns of length n.

    `occurred_at` is nan where a base history gave an order but no time, `watched_s` where nobody measured it.
    """

    video_rows: Rows = field(default_factory=no_rows)  # (n,)
    occurred_at: NDArray[np.float64] = field(default_factory=_no_times)  # (n,) UTC seconds
    watched_s: NDArray[np.float64] = field(default_factory=_no_times)  # (n,)
    replays: Rows = field(default_factory=no_rows)  # (n,)
    skipped: NDArray[np.bool_] = field(default_factory=_no_flags)  # (n,)
    long_view: NDArray[np.bool_] = field(default_factory=_no_flags)  # (n,)
    stalled_s: NDArray[np.float64] = field(default_factory=_no_times)  # (n,) how long playing stood still
    rendition: Rows = field(default_factory=no_rows)  # (n,) height of the picture in pixels, 0 where nobody said
    surface: Rows = field(default_factory=no_rows)  # (n,) where in the app, as numbers of features.columns; 0 where nobody said

    def __len__(self) -> int:
        return len(self.video_rows)


class Signal(IntEnum):
    """What a user did to a video or an author, until it was taken back. The numbers are part of the stored format."""

    LIKE = 1
    SHARE = 2
    COMMENT = 3
    HIDE = 4  # reports included
    FOLLOW = 5
    BLOCK = 6


@dataclass(frozen=True, slots=True)
class Signals:
    """What stands of a user's likes, shares, comments and hides, of any age, oldest first."""

    video_rows: Rows = field(default_factory=no_rows)  # (n,)
    occurred_at: NDArray[np.float64] = field(default_factory=_no_times)  # (n,) UTC seconds
    kinds: Rows = field(default_factory=no_rows)  # (n,) of Signal

    def of(self, kind: Signal) -> Rows:
        """The videos with this signal, newest last."""
        return self.video_rows[self.kinds == kind]


class Wish(IntEnum):
    """What a user said of their feed by name. The numbers are part of the stored format."""

    WORD = 1  # blocked, in captions and tags
    SOUND = 2  # blocked
    TOPIC = 3  # a tag: more or less of it


@dataclass(frozen=True, slots=True)
class Bounds:
    """What decides which videos somebody may be shown. Nothing is known of a user whose app has not told it."""

    age: int | None = None  # years, when it was told
    told_at: float = 0.0  # UTC seconds
    region: str = ""  # as normalised by domain.eligibility
    languages: tuple[str, ...] = ()  # likewise; none = any

    def age_at(self, now: float) -> int:
        """How many years the user has at least; 0 where nobody told."""
        return 0 if self.age is None else self.age + int(max(now - self.told_at, 0.0) / _YEAR_S)


@dataclass(frozen=True, slots=True)
class User:
    """One user's folded state, decoded. A user nobody has heard of is `User(user_id)`."""

    user_id: str
    watches: Watches = field(default_factory=Watches)
    long_views: Watches = field(default_factory=Watches)  # the last long views of those that newer ones have pushed out of `watches`
    signals: Signals = field(default_factory=Signals)
    followed: Rows = field(default_factory=no_rows)  # authors
    blocked: Rows = field(default_factory=no_rows)  # authors
    seen: BitMap = field(default_factory=BitMap)  # video rows that were on this user's screen
    served_rows: Rows = field(default_factory=no_rows)  # videos lately put into a slate, oldest first
    served_at: NDArray[np.float64] = field(default_factory=_no_times)
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(13, dtype=np.int64))  # features.windows.COUNTERS
    base_watches: int = 0  # watches of a base history, of which the order alone is known; in `watches` only as long as they are among the last ones
    base_long_views: int = 0  # of these
    place: str = ""  # the last one known
    blocked_words: tuple[str, ...] = ()
    blocked_sounds: tuple[str, ...] = ()  # by their ids
    topics: Mapping[str, int] = field(default_factory=dict[str, int])  # tag -> 1 more, -1 less
    bounds: Bounds = Bounds()
    reset_ms: int = 0  # when they last let the feed begin anew
    offset: int = 0  # how far the log of the user's partition is folded into this

    def unknown(self) -> "User":
        """Somebody of whom nothing is known but what they must or want not to be shown, and what they were shown already."""
        return User(
            self.user_id,
            blocked=self.blocked,
            seen=self.seen | BitMap(self.hidden.tolist()),
            served_rows=self.served_rows,
            served_at=self.served_at,
            blocked_words=self.blocked_words,
            blocked_sounds=self.blocked_sounds,
            bounds=self.bounds,
            offset=self.offset,
        )

    def before_slate(self, at: float) -> "User":
        """The same as if no slate had been served to them at the moment `at` (UTC seconds): who asks for that one again is as they were."""
        kept = np.abs(self.served_at - at) >= _SAME_S
        return self if kept.all() else replace(self, served_rows=self.served_rows[kept], served_at=self.served_at[kept])

    @property
    def nbytes(self) -> int:
        """The memory that this takes, as far as it grows with what the user did."""
        columns = (getattr(part, column) for part in (self.watches, self.long_views, self.signals) for column in part.__slots__)
        own = (*columns, self.followed, self.blocked, self.served_rows, self.served_at, self.counts)
        return sum(values.nbytes for values in own) + 2 * len(self.seen)  # a set of bits takes at most that

    @property
    def newest_row(self) -> int:
        """The highest row of a video in this user's history, -1 without one."""
        histories = (self.watches.video_rows, self.long_views.video_rows, self.signals.video_rows, self.served_rows)
        return max(int(rows.max(initial=-1)) for rows in histories)

    @property
    def liked(self) -> Rows:
        """Videos this user likes, newest last."""
        return self.signals.of(Signal.LIKE)

    @property
    def hidden(self) -> Rows:
        """Videos this user never wants to see again."""
        return self.signals.of(Signal.HIDE)


def saw(seen: BitMap, rows: Rows) -> NDArray[np.bool_]:
    """Which of `rows` (n,) are in a set of rows. A search in its array: with 20,000 in the set a quarter of what asking it for each row takes."""
    if not seen:
        return np.zeros(len(rows), dtype=np.bool_)
    known = np.frombuffer(seen.to_array(), dtype=np.uint32)
    return known[np.minimum(np.searchsorted(known, rows.astype(np.uint32)), len(known) - 1)] == rows

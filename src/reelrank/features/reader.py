"""The reader: users from the online store, and the counters of many videos from this machine's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reelrank.domain.arrays import Rows
from reelrank.domain.event import Context
from reelrank.domain.user import User
from reelrank.features import windows
from reelrank.features.columns import VideoColumns
from reelrank.features.packing import unpack
from reelrank.features.record_cache import RecordCache
from reelrank.features.sequences import decode_user
from reelrank.features.windows import Counters, Windowed
from reelrank.storage.counter_store import CounterStore, Keys, Kind
from reelrank.storage.online_store import OnlineStore

_EVERYTHING: Keys = np.zeros(1, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class CounterView:
    """Counters of some videos and of what they share: look a record up as `authors.of(author_rows)`."""

    keys: Keys  # (k,) ascending
    records: Counters  # (k, WIDTH)

    def of(self, keys: Keys) -> Counters:
        """The records of `keys` (m,), zeros for -1: (m, WIDTH)."""
        return np.concatenate([self.records, _nothing(self.records)])[self.places(keys)]

    def places(self, keys: Keys) -> Rows:
        """Where the records of `keys` (m,) lie, k for those that are not there: (m,)."""
        places = np.full(len(keys), len(self.keys), dtype=np.int64)
        asked = np.flatnonzero(keys >= 0)
        at = np.searchsorted(self.keys, keys[asked])
        there = at < len(self.keys)
        there[there] = self.keys[at[there]] == keys[asked[there]]
        places[asked[there]] = at[there]
        return places

    def totals(self) -> Windowed:
        """All that was ever counted of each key, and zeros at the end for those that are not there: (k + 1, COUNTERS)."""
        return windows.totals(np.concatenate([self.records[:, : windows.TOTALS_END], _nothing(self.records)[:, : windows.TOTALS_END]]))


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of n (user, video) pairs; all counters are from one moment."""

    users: Sequence[User]
    place_rows: Rows  # (users,) where each is, or was last; -1 where nobody knows
    surfaces: Rows  # (users,) the number of where in the app each is, 0 where nobody knows
    owner: Rows  # (n,) which of `users` pair i is about
    rows: Rows  # (n,) which video
    video: Counters  # (n, WIDTH)
    place: CounterView  # of the videos where their users are
    author: CounterView
    tag: CounterView
    sound: CounterView
    surface: CounterView  # where the users are
    surface_video: CounterView
    surface_length: CounterView
    everything: Counters  # (1, WIDTH)
    origins: tuple[int, ...]  # per partition, how much of the log the counters stand for

    @property
    def surface_keys(self) -> Keys:
        """What the counters of the users' surfaces are kept under: (users,), -1 where nobody knows."""
        return _known(self.surfaces)


class FeatureReader:
    """Reads folded state for the feed."""

    def __init__(self, store: OnlineStore, counters: CounterStore, columns: VideoColumns) -> None:
        self._store = store
        self._counters = counters
        self._columns = columns
        self._cache = RecordCache()

    def user(self, user_id: str) -> User:
        """One user as folded so far; somebody new if nothing is known. Raises StorageError when the online store is away."""
        return self.users((user_id,))[0]

    def users(self, user_ids: Sequence[str]) -> list[User]:
        """Users as folded so far, in one round trip; the columns know every video of their histories, even one published a moment ago."""
        found = self._store.read(user_ids)
        users = [decode_user(*one) for one in zip(user_ids, found.users, found.offsets, strict=True)]
        if any(user.newest_row >= self._columns.count for user in users):
            self._columns.refresh()
        return users

    def video_counters(self, rows: Rows) -> Counters:
        """The counters of some videos: (n, WIDTH)."""
        return self._cache.unpacked(self._counters.read({Kind.VIDEO: rows}).records[Kind.VIDEO])

    def counters(self, kind: Kind, keys: Keys) -> Counters:
        """The counters of some keys: (n, WIDTH). For many that nobody else asks for soon."""
        return unpack(self._counters.read({kind: keys}).records[kind])

    def touched(self, since: int) -> tuple[int, dict[Kind, Keys] | None]:
        """Whose counters have changed since a number that this gave before, and the next number; None where that was too long ago."""
        return self._counters.touched(since)

    def scan(self, kind: Kind, low: int = 0, high: int = 2**63 - 1, at_most: int = 2**63 - 1) -> tuple[Keys, Counters]:
        """The keys in [low, high) that have counters, ascending, with them: (n,), (n, WIDTH), the first `at_most`."""
        keys, records = self._counters.scan(kind, low, high, at_most)
        return keys, unpack(records)

    def read(self, users: Sequence[User], owner: Rows, rows: Rows, contexts: Sequence[Context] | None = None) -> Reading:
        """The counters of the videos `rows` (n,), of their authors, tags and sounds, and of the videos and surfaces where the users are.

        Pair i belongs to `users[owner[i]]`. A user is at the place that their context (one each) names, or else where they were last, and on its surface.
        """
        columns = self._columns
        places = [user.place for user in users] if contexts is None else [context.place or user.place for context, user in zip(contexts, users, strict=True)]
        place_rows = np.array([columns.places.get(place, -1) for place in places], dtype=np.int64)
        named = [""] * len(users) if contexts is None else [context.surface for context in contexts]
        surfaces = np.array([columns.surfaces.get(surface, 0) for surface in named], dtype=np.int64)
        here = _known(surfaces)[owner]
        wanted = {
            Kind.VIDEO: rows,
            Kind.PLACE_VIDEO: _distinct(pair_keys(place_rows[owner], rows)),
            Kind.SURFACE: _distinct(_known(surfaces)),
            Kind.SURFACE_VIDEO: _distinct(pair_keys(here, rows)),
            Kind.SURFACE_LENGTH: _distinct(pair_keys(here, columns.length_class[rows])),
            Kind.AUTHOR: _distinct(columns.author_row[rows]),
            Kind.TAG: _distinct(columns.tag_rows[rows].ravel()),
            Kind.SOUND: _distinct(columns.sound_row[rows]),
            Kind.EVERYTHING: _EVERYTHING,
        }
        found = self._counters.read(wanted)
        state = self._cache.unpacked([record for kind in wanted for record in found.records[kind]])
        parts = dict(zip(wanted, np.split(state, np.cumsum([len(keys) for keys in wanted.values()])[:-1]), strict=True))
        views = {kind: CounterView(wanted[kind], parts[kind]) for kind in wanted}
        return Reading(
            users=users,
            place_rows=place_rows,
            surfaces=surfaces,
            owner=owner,
            rows=rows,
            video=parts[Kind.VIDEO],
            place=views[Kind.PLACE_VIDEO],
            author=views[Kind.AUTHOR],
            tag=views[Kind.TAG],
            sound=views[Kind.SOUND],
            surface=views[Kind.SURFACE],
            surface_video=views[Kind.SURFACE_VIDEO],
            surface_length=views[Kind.SURFACE_LENGTH],
            everything=parts[Kind.EVERYTHING],
            origins=found.origins,
        )


def pair_keys(first: Rows, second: Rows) -> Keys:
    """What the counters of two things together are kept under, such as a video at a place; -1 where there is no first one."""
    return np.where(first >= 0, first << 32 | second, -1)


def _known(surfaces: Rows) -> Keys:
    return np.where(surfaces > 0, surfaces, -1)


def _nothing(records: Counters) -> Counters:
    return np.zeros((1, records.shape[1]), dtype=np.int32)


def _distinct(keys: Keys) -> Keys:
    distinct = np.unique(keys)
    return distinct[distinct >= 0]

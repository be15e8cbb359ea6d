"""The reader: users from the online store, and the counters of many videos from this machine's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column, Rows
from reelrank.domain.event import Context
from reelrank.domain.user import User
from reelrank.features.columns import VideoColumns
from reelrank.features.counter_cache import CounterCache
from reelrank.features.packing import unpack
from reelrank.features.sequences import decode_user
from reelrank.features.standings import EVERYTHING, Parts, Standings
from reelrank.features.windows import Counters
from reelrank.storage.counter_store import CounterStore, Keys, Kind
from reelrank.storage.online_store import OnlineStore

_EVERYTHING: Keys = np.zeros(1, dtype=np.int64)
_PARTS = {
    **dict.fromkeys((Kind.VIDEO, Kind.SURFACE), EVERYTHING),
    **dict.fromkeys((Kind.PLACE_VIDEO, Kind.TAG, Kind.SOUND), Parts(paces=True)),
    **dict.fromkeys((Kind.AUTHOR, Kind.SURFACE_VIDEO, Kind.SURFACE_LENGTH, Kind.EVERYTHING), Parts()),
}  # what the features ask of each


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of n (user, video) pairs at the moments of their users; all counters are from one commit."""

    users: Sequence[User]
    moments: Column  # (users,) UTC seconds
    place_rows: Rows  # (users,) where each is, or was last; -1 where nobody knows
    surfaces: Rows  # (users,) the number of where in the app each is, 0 where nobody knows
    owner: Rows  # (n,) which of `users` pair i is about
    rows: Rows  # (n,) which video
    video: Standings  # (n) with all parts
    place: Standings  # (n) of the videos where their users are: totals and paces
    placed: NDArray[np.bool_]  # (n,) whether it is known where that is
    author: Standings  # (n) totals
    tag_rows: Rows  # (n, MAX_TAGS) the tags of the videos, -1 where there are no more
    tag: Standings  # (t) of the tags of the pairs, one after the other: totals and paces
    tag_at: tuple[Rows, Rows]  # (t,) which pair, (t,) in which of its slots
    sound: Standings  # (n) totals and paces
    sounded: NDArray[np.bool_]  # (n,) whether the video has a sound
    surface: Standings  # (users) where they are, with all parts
    surface_video: Standings  # (n) totals
    surface_length: Standings  # (n) totals
    everything: Standings  # (1) totals
    origins: tuple[int, ...]  # per partition, how much of the log the counters stand for

    @property
    def now(self) -> Column:
        """The moment of each pair (n,), or (1,) where there is only one."""
        return self.moments if len(self.moments) == 1 else self.moments[self.owner]


class FeatureReader:
    """Reads folded state for the feed."""

    def __init__(self, store: OnlineStore, counters: CounterStore, columns: VideoColumns) -> None:
        self._store = store
        self._counters = counters
        self._columns = columns
        self._cache = CounterCache(counters, _PARTS)

    def read_ahead(self) -> None:
        """Brings the counters into memory before somebody waits for them."""
        self._counters.read_ahead()

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
        return self.counters(Kind.VIDEO, rows)

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

    def read(self, users: Sequence[User], owner: Rows, rows: Rows, moments: Column, contexts: Sequence[Context] | None = None) -> Reading:
        """What the counters say of the videos `rows` (n,), of their authors, tags and sounds, and of the videos and surfaces where the users are.

        Pair i belongs to `users[owner[i]]`, who is looked at `moments[owner[i]]` (users,) UTC seconds. A user is at the place that
        their context (one each) names, or else where they were last, and on its surface.
        """
        columns = self._columns
        places = [user.place for user in users] if contexts is None else [context.place or user.place for context, user in zip(contexts, users, strict=True)]
        place_rows = np.array([columns.places.get(place, -1) for place in places], dtype=np.int64)
        named = [""] * len(users) if contexts is None else [context.surface for context in contexts]
        surfaces = np.array([columns.surfaces.get(surface, 0) for surface in named], dtype=np.int64)
        at_surface = np.where(surfaces > 0, surfaces, -1)
        at_place, here, sound_rows, tag_rows = place_rows[owner], at_surface[owner], columns.sound_row[rows], columns.tag_rows[rows]
        tagged, slots = np.nonzero(tag_rows >= 0)
        asked = {
            Kind.VIDEO: rows,
            Kind.PLACE_VIDEO: pair_keys(at_place, rows),
            Kind.SURFACE: at_surface,
            Kind.SURFACE_VIDEO: pair_keys(here, rows),
            Kind.SURFACE_LENGTH: pair_keys(here, columns.length_class[rows]),
            Kind.AUTHOR: columns.author_row[rows],
            Kind.TAG: tag_rows[tagged, slots],
            Kind.SOUND: sound_rows,
            Kind.EVERYTHING: _EVERYTHING,
        }
        if len(set(moments.tolist())) == 1:
            found, origins = self._cache.read(asked, float(moments[0]))
        else:
            pairs = moments[owner]
            own = {Kind.SURFACE: moments, Kind.TAG: pairs[tagged], Kind.EVERYTHING: np.zeros(1)}
            found, origins = self._cache.read_at(asked, {kind: own.get(kind, pairs) for kind in asked})
        return Reading(
            users=users,
            moments=moments,
            place_rows=place_rows,
            surfaces=surfaces,
            owner=owner,
            rows=rows,
            video=found[Kind.VIDEO],
            place=found[Kind.PLACE_VIDEO],
            placed=at_place >= 0,
            author=found[Kind.AUTHOR],
            tag_rows=tag_rows,
            tag=found[Kind.TAG],
            tag_at=(tagged, slots),
            sound=found[Kind.SOUND],
            sounded=sound_rows >= 0,
            surface=found[Kind.SURFACE],
            surface_video=found[Kind.SURFACE_VIDEO],
            surface_length=found[Kind.SURFACE_LENGTH],
            everything=found[Kind.EVERYTHING],
            origins=origins,
        )


def pair_keys(first: Rows, second: Rows) -> Keys:
    """What the counters of two things together are kept under, such as a video at a place; -1 where there is no first one."""
    return np.where(first >= 0, first << 32 | second, -1)

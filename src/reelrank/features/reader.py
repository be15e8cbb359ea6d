"""The reader: users from the online store, and the counters of many videos from this machine's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reelrank.domain.user import Rows, User
from reelrank.features.columns import VideoColumns
from reelrank.features.packing import unpack
from reelrank.features.sequences import decode_user
from reelrank.features.windows import Counters
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
        if len(self.keys) == 0:
            return np.zeros((len(keys), self.records.shape[1]), dtype=np.int32)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found = self.records[places]
        found[self.keys[places] != keys] = 0
        return found


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of n (user, video) pairs; all counters are from one moment."""

    users: Sequence[User]
    owner: Rows  # (n,) which of `users` pair i is about
    rows: Rows  # (n,) which video
    video: Counters  # (n, WIDTH)
    author: CounterView
    tag: CounterView
    sound: CounterView
    everything: Counters  # (1, WIDTH)
    origins: tuple[int, ...]  # per partition, how much of the log the counters stand for


class FeatureReader:
    """Reads folded state for the feed."""

    def __init__(self, store: OnlineStore, counters: CounterStore, columns: VideoColumns) -> None:
        self._store = store
        self._counters = counters
        self._columns = columns

    def user(self, user_id: str) -> User:
        """One user as folded so far; somebody new if nothing is known. Raises StorageError when the online store is away."""
        return self.users((user_id,))[0]

    def users(self, user_ids: Sequence[str]) -> list[User]:
        """Users as folded so far, in one round trip."""
        found = self._store.read(user_ids)
        return [decode_user(*one) for one in zip(user_ids, found.users, found.offsets, strict=True)]

    def video_counters(self, rows: Rows) -> Counters:
        """The counters of some videos: (n, WIDTH)."""
        return unpack(self._counters.read({Kind.VIDEO: rows}).records[Kind.VIDEO])

    def scan(self, kind: Kind, low: int = 0, high: int = 2**63 - 1) -> tuple[Keys, Counters]:
        """Every key in [low, high) that has counters, ascending, with them: (n,), (n, WIDTH)."""
        keys, records = self._counters.scan(kind, low, high)
        return keys, unpack(records)

    def read(self, users: Sequence[User], owner: Rows, rows: Rows) -> Reading:
        """The counters of the videos `rows` (n,), and those of their authors, tags and sounds; pair i belongs to `users[owner[i]]`."""
        columns = self._columns
        wanted = {
            Kind.VIDEO: rows,
            Kind.AUTHOR: _distinct(columns.author_row[rows]),
            Kind.TAG: _distinct(columns.tag_rows[rows].ravel()),
            Kind.SOUND: _distinct(columns.sound_row[rows]),
            Kind.EVERYTHING: _EVERYTHING,
        }
        found = self._counters.read(wanted)
        state = unpack([record for kind in wanted for record in found.records[kind]])
        parts = dict(zip(wanted, np.split(state, np.cumsum([len(keys) for keys in wanted.values()])[:-1]), strict=True))
        views = {kind: CounterView(wanted[kind], parts[kind]) for kind in (Kind.AUTHOR, Kind.TAG, Kind.SOUND)}
        return Reading(
            users=users,
            owner=owner,
            rows=rows,
            video=parts[Kind.VIDEO],
            author=views[Kind.AUTHOR],
            tag=views[Kind.TAG],
            sound=views[Kind.SOUND],
            everything=parts[Kind.EVERYTHING],
            origins=found.origins,
        )


def _distinct(keys: Keys) -> Keys:
    distinct = np.unique(keys)
    return distinct[distinct >= 0]

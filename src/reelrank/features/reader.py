"""The reader: users and the counters of many videos, all from one moment."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reelrank.domain.user import Rows, User
from reelrank.features.columns import VideoColumns
from reelrank.features.sequences import decode_user
from reelrank.storage.online_store import Counters, Keys, Kind, OnlineStore

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
    """What one read of the online store saw of n (user, video) pairs."""

    users: list[User]
    owner: Rows  # (n,) which of `users` pair i is about
    rows: Rows  # (n,) which video
    video: Counters  # (n, WIDTH)
    author: CounterView
    tag: CounterView
    sound: CounterView
    everything: Counters  # (1, WIDTH)
    offsets: tuple[int, ...]  # per partition, how much of the log this state stands for


class FeatureReader:
    """Reads folded state for the feed."""

    def __init__(self, store: OnlineStore, columns: VideoColumns) -> None:
        self._store = store
        self._columns = columns

    def user(self, user_id: str) -> User:
        """One user as folded so far; somebody new if nothing is known."""
        return decode_user(user_id, self._store.read((user_id,), {}).users[0])

    def read(self, user_ids: Sequence[str], owner: Rows, rows: Rows) -> Reading:
        """Users, the counters of the videos `rows` (n,), and those of their authors, tags and sounds; pair i belongs to `user_ids[owner[i]]`."""
        columns = self._columns
        wanted = {
            Kind.VIDEO: rows,
            Kind.AUTHOR: _distinct(columns.author_row[rows]),
            Kind.TAG: _distinct(columns.tag_rows[rows].ravel()),
            Kind.SOUND: _distinct(columns.sound_row[rows]),
            Kind.EVERYTHING: _EVERYTHING,
        }
        snapshot = self._store.read(user_ids, wanted)
        views = {kind: CounterView(wanted[kind], snapshot.counters[kind]) for kind in (Kind.AUTHOR, Kind.TAG, Kind.SOUND)}
        return Reading(
            users=[decode_user(user_id, stored) for user_id, stored in zip(user_ids, snapshot.users, strict=True)],
            owner=owner,
            rows=rows,
            video=snapshot.counters[Kind.VIDEO],
            author=views[Kind.AUTHOR],
            tag=views[Kind.TAG],
            sound=views[Kind.SOUND],
            everything=snapshot.counters[Kind.EVERYTHING],
            offsets=snapshot.offsets,
        )


def _distinct(keys: Keys) -> Keys:
    distinct = np.unique(keys)
    return distinct[distinct >= 0]

"""How like an exposure's video is to what its user had watched until the day before: cosines of co-watches."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from reelrank.features.spans import covered

Ints = NDArray[np.int64]
Features = dict[str, NDArray[np.float64]]  # name -> (n,)

_LATEST = 10  # watches
_AT_A_TIME = 4_000  # exposures whose users' watches are looked at together


def likeness(user: Ints, video: Ints, day: Ints, long_view: NDArray[np.bool_], history: pl.DataFrame) -> Features:
    """Four numbers for each of n exposures, in order of time: the cosines with all that was watched, the mean with the latest, the
    largest, and the sum with what was watched long.

    Watches are those of the base history and of all days before; the cosine of two videos is that of their sets of users.
    """
    past, features = _Past.of(history, user, video), np.zeros((len(user), 4))
    users, videos = past.users, past.videos
    user, video = np.searchsorted(users, user), np.searchsorted(videos, video)
    for today in range(int(day.max()) + 1):
        rows = np.flatnonzero(day == today)
        cosines, watches = past.cosines(), past.by_user()
        for start in range(0, len(rows), _AT_A_TIME):
            some = rows[start : start + _AT_A_TIME]
            features[some] = _likenesses(cosines, watches, user[some], video[some])
        past = past.with_more(user[rows], video[rows], long_view[rows])
    return dict(zip(("like_watched", "like_latest", "like_nearest", "like_long_viewed"), features.T, strict=True))


class _Past:
    """All watches so far, oldest first for each user, in dense numbers of users and videos."""

    def __init__(self, users: Ints, videos: Ints, owner: Ints, watched: Ints, long: NDArray[np.bool_]) -> None:
        self.users, self.videos = users, videos
        self._owner, self._watched, self._long = owner, watched, long

    @classmethod
    def of(cls, history: pl.DataFrame, user: Ints, video: Ints) -> "_Past":
        """The base history; users and videos of the log are numbered with it."""
        owner, watched = _pairs(history, "watch_seq")
        long_owner, long_watched = _pairs(history, "long_watch_seq")
        users, videos = np.unique(np.concatenate([owner, user])), np.unique(np.concatenate([watched, video]))
        long = np.isin(owner << 32 | watched, long_owner << 32 | long_watched)
        return cls(users, videos, np.searchsorted(users, owner), np.searchsorted(videos, watched), long)

    def with_more(self, owner: Ints, watched: Ints, long: NDArray[np.bool_]) -> "_Past":
        """These watches and newer ones."""
        added = (np.concatenate([self._owner, owner]), np.concatenate([self._watched, watched]), np.concatenate([self._long, long]))
        return _Past(self.users, self.videos, *added)

    def cosines(self) -> NDArray[np.float32]:
        """Of each video with each other, 0 with itself: (V, V)."""
        shape = (len(self.users), len(self.videos))
        pairs = np.unique(self._owner * shape[1] + self._watched)
        sets = csr_array((np.ones(len(pairs), dtype=np.float32), np.divmod(pairs, shape[1])), shape=shape)
        both = (sets.T @ sets).toarray()
        length = np.sqrt(np.maximum(np.diagonal(both), 1))
        np.fill_diagonal(both, 0)
        both /= length[:, None]
        both /= length
        return both

    def by_user(self) -> tuple[Ints, Ints, NDArray[np.bool_]]:
        """(indptr, videos, long): the watches of each user, oldest first."""
        order = np.argsort(self._owner, kind="stable")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(self._owner, minlength=len(self.users)))])
        return indptr, self._watched[order], self._long[order]


def _likenesses(cosines: NDArray[np.float32], watches: tuple[Ints, Ints, NDArray[np.bool_]], user: Ints, video: Ints) -> NDArray[np.float64]:
    """The four numbers of some exposures: (n, 4)."""
    indptr, watched, long = watches
    at, counts = covered(indptr[user], indptr[user + 1])
    owner = np.repeat(np.arange(len(user)), counts)
    cosine = cosines[video[owner], watched[at]].astype(np.float64)
    latest = np.repeat(indptr[user + 1], counts) - at <= _LATEST
    nearest = np.zeros(len(user))
    np.maximum.at(nearest, owner, cosine)
    sums = [np.bincount(owner[chosen], weights=cosine[chosen], minlength=len(user)) for chosen in (slice(None), latest, long[at])]
    return np.stack([sums[0], sums[1] / np.maximum(np.minimum(counts, _LATEST), 1), nearest, sums[2]], axis=1, dtype=np.float64)


def _pairs(history: pl.DataFrame, column: str) -> tuple[Ints, Ints]:
    """(users, videos) of one of the lists, oldest first for each user."""
    pairs = history.select("user_id", column).explode(column).drop_nulls(column)
    return pairs["user_id"].cast(pl.Int64).to_numpy(), pairs[column].to_numpy()

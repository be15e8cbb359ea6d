"""Similar users: what those liked or watched long who lately did so with the same videos."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reelrank.candidates.rows import strongest, summed, unseen
from reelrank.domain.arrays import Rows
from reelrank.domain.user import Signal, User, no_rows
from reelrank.features.spans import covered
from reelrank.pipeline.stages import Proposal, Query
from reelrank.storage.array_record import ArrayRecord
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.published import Published

SIMILAR_USERS = "similar_users"
FILE = "similar_users.npz"
RECENT = 50  # of a user's engagements
_USERS = 50  # neighbours that are asked


@dataclass(frozen=True, slots=True)
class Engagements(ArrayRecord):
    """Who engaged with which videos, both ways. Users are numbered densely, afresh in each version."""

    videos: Rows  # (v,) dense video rows, ascending
    user_indptr: Rows  # (v + 1,) video i was engaged with by users[user_indptr[i] : user_indptr[i + 1]]
    users: NDArray[np.int32]  # latest first
    video_indptr: Rows  # (u + 1,) user j engaged with engaged[video_indptr[j] : video_indptr[j + 1]]
    engaged: NDArray[np.int32]  # places in `videos`, latest first


def engaged_with(user: User, count: int) -> tuple[Rows, NDArray[np.float64]]:
    """The `count` videos that a user last watched long or liked, latest first, and when (-inf = nobody knows)."""
    watches, liked = user.watches, user.signals.kinds == Signal.LIKE
    rows = np.concatenate([user.signals.video_rows[liked], watches.video_rows[watches.long_view]])
    moments = np.concatenate([user.signals.occurred_at[liked], watches.occurred_at[watches.long_view]])
    moments[np.isnan(moments)] = -np.inf
    latest = np.argsort(moments, kind="stable")[::-1]
    _, first = np.unique(rows[latest], return_index=True)
    chosen = latest[np.sort(first)[:count]]
    return rows[chosen], moments[chosen]


def collect(engaged: list[Rows], moments: list[NDArray[np.float64]], posting: int) -> Engagements:
    """Turns each user's engaged videos, latest first, with their moments (-inf = nobody knows) into lists both ways.

    A video keeps its latest `posting` users.
    """
    counts = np.array([len(rows) for rows in engaged], dtype=np.int64)
    all_rows = np.concatenate([np.empty(0, dtype=np.int64), *engaged])
    users = np.repeat(np.arange(len(engaged)), counts)
    videos, places = np.unique(all_rows, return_inverse=True)
    order = np.lexsort((users, -np.concatenate([np.empty(0), *moments]), places))  # by video, latest first
    per_video = np.bincount(places, minlength=len(videos))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(per_video) - per_video, per_video)
    return Engagements(
        videos=videos,
        user_indptr=np.concatenate([[0], np.cumsum(np.minimum(per_video, posting))]),
        users=users[order][rank < posting].astype(np.int32),
        video_indptr=np.concatenate([[0], np.cumsum(counts)]),
        engaged=places.astype(np.int32),
    )


def similar_users(artifacts: ArtifactStore) -> Published[Engagements]:
    """The lists that the index role publishes."""
    return Published(artifacts, SIMILAR_USERS, lambda folder: Engagements.load(folder / FILE))


class SimilarUsersSource:
    """Finds the users who share most with this one and proposes what they engaged with."""

    name = "similar_users"

    def __init__(self, engagements: Published[Engagements]) -> None:
        self._engagements = engagements
        self.refresh()

    def refresh(self) -> None:
        """Loads newer lists if there are some."""
        self._engagements.refresh()

    def propose(self, query: Query, quota: int) -> Proposal:
        live = self._engagements.live
        own, _ = engaged_with(query.user, RECENT)
        if live is None or len(own) == 0 or len(live.value.videos) == 0:
            return Proposal(no_rows())
        known = live.value
        places = np.minimum(np.searchsorted(known.videos, own), len(known.videos) - 1)
        places = places[known.videos[places] == own]
        neighbours, likeness = _neighbours(known, places)
        pairs, counts = covered(known.video_indptr[neighbours], known.video_indptr[neighbours + 1])
        voted, votes = summed(known.engaged[pairs], np.repeat(likeness, counts))
        rows = known.videos[voted]
        new = unseen(rows, query.user.seen)
        rows, votes = rows[new], votes[new]
        return Proposal(rows[strongest(votes, quota)], {self._engagements.name: live.name})


def _neighbours(known: Engagements, places: Rows) -> tuple[Rows, NDArray[np.float64]]:
    """The users who engaged with the most of `places`, and how alike they are.

    Cosine, with a video that few engaged with saying more; who asks is among the neighbours, which does no harm:
    all they engaged with was seen.
    """
    pairs, counts = covered(known.user_indptr[places], known.user_indptr[places + 1])
    found, shared = summed(known.users[pairs], np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts))
    likeness = shared / np.sqrt(known.video_indptr[found + 1] - known.video_indptr[found])
    best = strongest(likeness, _USERS + 1)
    return found[best], likeness[best]

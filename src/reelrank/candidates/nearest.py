"""Nearest: videos whose vectors lie closest to the user's, by the two towers that training publishes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reelrank.candidates.eligible import Eligible
from reelrank.candidates.followed_index import FollowedIndex, FrozenIndexes, VectorsConfig
from reelrank.candidates.recall_watch import RecallWatch, Search
from reelrank.candidates.rows import seen_rows
from reelrank.domain.arrays import Floats, Rows
from reelrank.domain.user import User, no_rows
from reelrank.features.columns import VideoColumns
from reelrank.features.tokens import deeds_of, tokens_of
from reelrank.models.ranker_inputs import VideoTraits
from reelrank.pipeline.stages import Proposal, Query
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.published import Published

if TYPE_CHECKING:
    from reelrank.models.tower_session import TowerSession

TWO_TOWER = "two_tower"


class Towers(NamedTuple):
    """One version of the towers, and what finds the vectors of its videos."""

    session: "TowerSession"
    videos: FollowedIndex


def two_tower(artifacts: ArtifactStore, columns: VideoColumns, exact_up_to: int = VectorsConfig().exact_up_to) -> Published[Towers]:
    """The towers that training publishes, each version as soon as its index is there."""
    indexes = FrozenIndexes(artifacts, TWO_TOWER, columns, exact_up_to)

    def load(folder: Path) -> Towers:
        from reelrank.models.tower_session import TowerSession  # its runtime is loaded where there is something to run

        session = TowerSession(folder)
        return Towers(session, FollowedIndex(session.width, vectors_of(session, columns), folder.name, indexes, columns))

    return Published(artifacts, TWO_TOWER, load, ready=indexes.ready)


def vectors_of(session: "TowerSession", columns: VideoColumns) -> Callable[[Rows], Floats]:
    """What makes the vectors of videos."""
    return lambda rows: session.videos(rows, VideoTraits.of(columns))


def user_vector(session: "TowerSession", user: User, now: float, columns: VideoColumns) -> Floats | None:
    """The vector (d,) of a user at a moment (UTC seconds); None without a history."""
    tokens = tokens_of(deeds_of((user,)), columns.duration_s).before(np.array([now]))
    return session.user(tokens, VideoTraits.of(columns))


class NearestSource:
    """Proposes what lies nearest to the user, by what the towers have learned from everybody."""

    name = "nearest"

    def __init__(self, towers: Published[Towers], columns: VideoColumns, eligible: Eligible, recall: RecallWatch | None = None) -> None:
        self._towers = towers
        self._columns = columns
        self._eligible = eligible
        self._recall = recall
        self.refresh()

    def refresh(self) -> None:
        """Loads another version if one became current; the index knows the newest videos afterwards."""
        if not self._towers.refresh() and self._towers.value is not None:
            self._towers.value.videos.follow()

    def propose(self, query: Query, quota: int) -> Proposal:
        live = self._towers.live
        if live is None:
            return Proposal(no_rows())
        user = user_vector(live.value.session, query.user, query.now, self._columns)
        if user is None:
            return Proposal(no_rows())
        search = Search(live.value.videos.newest(), user, quota, seen_rows(query.user.seen), self._eligible.bits(query))
        rows, _ = search.found()
        if self._recall is not None:
            self._recall.offer(self.name, search, rows, query.rng)
        return Proposal(rows, {self._towers.name: live.name})

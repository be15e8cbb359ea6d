"""Nearest: videos whose vectors lie closest to the user's, by the two towers that training publishes."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reelrank.candidates.vector_index import VectorIndex
from reelrank.domain.arrays import Rows
from reelrank.domain.user import no_rows
from reelrank.features.columns import VideoColumns
from reelrank.features.tokens import deeds_of, tokens_of
from reelrank.models.ranker_inputs import VideoTraits
from reelrank.pipeline.stages import Proposal, Query
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.published import Published

if TYPE_CHECKING:
    from reelrank.models.tower_session import TowerSession

TWO_TOWER = "two_tower"
_AT_A_TIME = 50_000  # vectors that are made at once


class Towers:
    """One version of the towers, and the index over the vectors of all videos that may be shown."""

    def __init__(self, session: "TowerSession") -> None:
        self.session = session
        self.index = VectorIndex(session.width)
        self._indexed = np.zeros(0, dtype=np.bool_)  # by row

    def follow(self, columns: VideoColumns) -> None:
        """Puts in what was published since the last time, and takes out what was removed."""
        may = ~columns.removed[: columns.count]
        there = np.zeros(len(may), dtype=np.bool_)
        there[: len(self._indexed)] = self._indexed
        new, gone = np.flatnonzero(may & ~there), np.flatnonzero(there & ~may)
        if len(new):
            pieces = np.array_split(new, -(-len(new) // _AT_A_TIME))
            self.index.put(new, np.concatenate([self.session.videos(some, VideoTraits.of(columns)) for some in pieces]))
        if len(gone):
            self.index.remove(gone)
        self._indexed = may


def two_tower(artifacts: ArtifactStore, columns: VideoColumns) -> Published[Towers]:
    """The towers that training publishes."""

    def load(folder: Path) -> Towers:
        from reelrank.models.tower_session import TowerSession  # its runtime is loaded where there is something to run

        towers = Towers(TowerSession(folder))
        towers.follow(columns)
        return towers

    return Published(artifacts, TWO_TOWER, load)


class NearestSource:
    """Proposes what lies nearest to the user, by what the towers have learned from everybody."""

    name = "nearest"

    def __init__(self, towers: Published[Towers], columns: VideoColumns) -> None:
        self._towers = towers
        self._columns = columns
        self.refresh()

    def refresh(self) -> None:
        """Loads another version if one became current; the index knows the newest videos afterwards."""
        if not self._towers.refresh() and self._towers.value is not None:
            self._towers.value.follow(self._columns)

    def propose(self, query: Query, quota: int) -> Proposal:
        live = self._towers.live
        if live is None:
            return Proposal(no_rows())
        tokens = tokens_of(deeds_of((query.user,)), self._columns.duration_s).before(np.array([query.now]))
        user = live.value.session.user(tokens, VideoTraits.of(self._columns))
        if user is None:
            return Proposal(no_rows())
        seen: Rows = np.frombuffer(query.user.seen.to_array(), dtype=np.uint32).astype(np.int64)
        rows, _ = live.value.index.nearest(user, quota, without=seen)
        return Proposal(rows, {self._towers.name: live.name})

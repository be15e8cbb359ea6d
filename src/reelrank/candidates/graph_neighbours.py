"""Graph neighbours: the videos whose vectors in the user-video graph lie nearest to what the user watched."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from reelrank.candidates.eligible import Eligible
from reelrank.candidates.followed_index import FollowedIndex, FrozenIndexes, VectorsConfig
from reelrank.candidates.recall_watch import RecallWatch, Search
from reelrank.candidates.rows import seen_rows
from reelrank.domain.arrays import Floats, Rows
from reelrank.domain.user import User, no_rows
from reelrank.features.columns import VideoColumns
from reelrank.features.tokens import actions_of, deeds_of
from reelrank.models.graph_vectors import GraphVectors, edges
from reelrank.pipeline.stages import Proposal, Query
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.published import Published

GRAPH = "graph"


class Graph(NamedTuple):
    """One version of the graph's vectors, and what finds those of its videos."""

    vectors: GraphVectors
    videos: FollowedIndex


def edges_of(user: User) -> tuple[Rows, Floats]:
    """A user's edges in the graph: each video once, with how much the user engaged with it; hidden ones are none."""
    _, rows, amounts = edges(*actions_of(deeds_of((user,))))
    return rows, amounts


def graph_vectors(artifacts: ArtifactStore, columns: VideoColumns, exact_up_to: int = VectorsConfig().exact_up_to) -> Published[Graph]:
    """The vectors that were trained last, each version as soon as its index is there."""
    indexes = FrozenIndexes(artifacts, GRAPH, columns, exact_up_to)

    def load(folder: Path) -> Graph:
        vectors = GraphVectors.mapped(folder)
        return Graph(vectors, FollowedIndex(vectors.finds.shape[1], found_by(vectors), folder.name, indexes, columns))

    return Published(artifacts, GRAPH, load, ready=indexes.ready)


def found_by(vectors: GraphVectors) -> Callable[[Rows], Floats]:
    """The vectors that videos are found by; those that are newer than the graph have none until it is trained again."""
    return lambda rows: vectors.finds[rows[rows < len(vectors.finds)]]


class GraphNeighboursSource:
    """Proposes what lies nearest to the user in the graph, videos that nobody has watched among them."""

    name = "graph_neighbours"

    def __init__(self, model: Published[Graph], eligible: Eligible, recall: RecallWatch | None = None) -> None:
        self._model = model
        self._eligible = eligible
        self._recall = recall
        self.refresh()

    def refresh(self) -> None:
        """Loads newer vectors if there are some, or the index that was built for those that are in use."""
        if not self._model.refresh() and self._model.value is not None:
            self._model.value.videos.follow()

    def propose(self, query: Query, quota: int) -> Proposal:
        live = self._model.live
        rows, amounts = edges_of(query.user)
        if live is None or len(rows) == 0:
            return Proposal(no_rows())
        user = live.value.vectors.user(rows, amounts)
        search = Search(live.value.videos.index, user, quota, seen_rows(query.user.seen), self._eligible.bits(query))
        best, _ = search.found()
        if self._recall is not None:
            self._recall.offer(self.name, search, best, query.rng)
        return Proposal(best, {self._model.name: live.name})

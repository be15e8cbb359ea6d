"""Graph neighbours: the videos whose vectors in the user-video graph lie nearest to what the user watched."""

import numpy as np
from numpy.typing import NDArray

from reelrank.candidates.rows import strongest, unseen
from reelrank.domain.arrays import Rows
from reelrank.domain.user import User, no_rows
from reelrank.features.tokens import actions_of, deeds_of
from reelrank.models.graph_vectors import GraphVectors, edges
from reelrank.pipeline.stages import Proposal, Query
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.published import Published

GRAPH = "graph"
FILE = "graph.npz"


def edges_of(user: User) -> tuple[Rows, NDArray[np.float32]]:
    """A user's edges in the graph: each video once, with how much the user engaged with it; hidden ones are none."""
    _, rows, amounts = edges(*actions_of(deeds_of((user,))))
    return rows, amounts


def graph_vectors(artifacts: ArtifactStore) -> Published[GraphVectors]:
    """The vectors that were trained last."""
    return Published(artifacts, GRAPH, lambda folder: GraphVectors.load(folder / FILE))


class GraphNeighboursSource:
    """Proposes what lies nearest to the user in the graph, videos that nobody has watched among them."""

    name = "graph_neighbours"

    def __init__(self, model: Published[GraphVectors]) -> None:
        self._model = model
        self.refresh()

    def refresh(self) -> None:
        """Loads newer vectors if there are some."""
        self._model.refresh()

    def propose(self, query: Query, quota: int) -> Proposal:
        live = self._model.live
        rows, amounts = edges_of(query.user)
        if live is None or len(rows) == 0:
            return Proposal(no_rows())
        scores = live.value.scores(rows, amounts)
        scores[~unseen(np.arange(len(scores)), query.user.seen)] = -np.inf
        best = strongest(scores, quota)
        return Proposal(best[np.isfinite(scores[best])], {self._model.name: live.name})

    def strength(self, user: User, rows: Rows) -> tuple[NDArray[np.float64], dict[str, str]]:
        """How near each of `rows` (n,) lies to the user, in standard deviations of all videos, and by which version of which model.

        0 where nothing is known.
        """
        live = self._model.live
        if live is None:
            return np.zeros(len(rows)), {}
        watched, amounts = edges_of(user)
        scores = live.value.scores(watched, amounts).astype(np.float64)
        known = rows < len(scores)
        spread = float(scores.std())
        strength = np.zeros(len(rows))
        if spread > 0:
            strength[known] = (scores[rows[known]] - scores.mean()) / spread
        return strength, {self._model.name: live.name}

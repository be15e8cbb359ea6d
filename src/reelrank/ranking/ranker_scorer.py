"""The ranker as a scorer: the published network predicts what the light score can only estimate; without one nothing changes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.candidate import Candidates
from reelrank.domain.event import Context
from reelrank.domain.user import Rows, User
from reelrank.features.columns import VideoColumns
from reelrank.features.tokens import Tokens, deeds_of, tokens_of
from reelrank.pipeline.stages import Query
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.published import Published

RANKER = "ranker"

Column = NDArray[np.float64]


class Ranker(Protocol):
    """A loaded network."""

    def predict(self, tokens: Tokens, owner: Rows, rows: Rows, features: NDArray[np.float32], moments: Column) -> Mapping[str, NDArray[np.floating]]:
        """Head -> what it says of the videos `rows` (n,), each for the user `owner[i]` of the tokens, at `moments[i]`, with its features (n, F)."""
        ...


def published_ranker(artifacts: ArtifactStore) -> Published[Ranker]:
    """The network that training publishes."""
    return Published(artifacts, RANKER, _load)


def _load(folder: Path) -> Ranker:
    raise ValueError(f"nothing reads {folder} yet")


class RankerScorer:
    """Predicts every head and the watch time with the version that is live; a failure leaves the candidates as they were."""

    name = RANKER

    def __init__(self, ranker: Published[Ranker], columns: VideoColumns) -> None:
        self._ranker = ranker
        self._columns = columns

    @property
    def live(self) -> bool:
        """Whether there is a network to ask."""
        return self._ranker.live is not None

    def refresh(self) -> None:
        """Loads a newer version if there is one."""
        self._ranker.refresh()

    def score(self, query: Query, candidates: Candidates) -> None:
        assert candidates.features is not None, "features are hydrated before they are scored"
        owner, moments = np.zeros(len(candidates), dtype=np.int64), np.full(len(candidates), query.now)
        heads, spoke = self.predictions((query.user,), owner, candidates.rows, candidates.features, (query.context,), moments)
        candidates.predictions |= heads
        candidates.models |= spoke

    def predictions(
        self, users: Sequence[User], owner: Rows, rows: Rows, features: NDArray[np.float32], contexts: Sequence[Context], moments: Column
    ) -> tuple[dict[str, Column], dict[str, str]]:
        """What the network says of n (user, video) pairs, all from one version, and which version that was; nothing while none is live.

        Pair i is of `users[owner[i]]` (in the context of the same place), of the video `rows[i]`, at the moment `moments[i]` (UTC seconds).
        """
        live = self._ranker.live
        if live is None or len(rows) == 0:
            return {}, {}
        tokens = tokens_of(deeds_of(users), self._columns.duration_s)
        said = live.value.predict(tokens, owner, rows, features, moments)
        heads = {head: values.astype(np.float64) for head, values in said.items()}
        wrong = [head for head, values in heads.items() if not np.isfinite(values).all()]
        if wrong:
            raise ValueError(f"{self._ranker.name} {live.name} predicts what is no number, for {', '.join(wrong)}; roll it back")
        return heads, {self._ranker.name: live.name}

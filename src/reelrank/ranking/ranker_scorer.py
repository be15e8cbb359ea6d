"""The ranker as a scorer: the published network predicts what the light score can only estimate; without one nothing changes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column, Rows
from reelrank.domain.candidate import Candidates
from reelrank.domain.event import Context
from reelrank.domain.user import User
from reelrank.features.columns import VideoColumns
from reelrank.features.tokens import deeds_of, tokens_of
from reelrank.models.ranker_inputs import VideoTraits
from reelrank.pipeline.stages import Query
from reelrank.ranking.ranker_session import KeptHistories
from reelrank.ranking.scorers import Features
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.published import Published

if TYPE_CHECKING:
    from reelrank.models.sessions import RankerSession

RANKER = "ranker"


def published_ranker(artifacts: ArtifactStore) -> "Published[RankerSession]":
    """The network that training publishes."""
    return Published(artifacts, RANKER, load_ranker)


def load_ranker(folder: Path) -> "RankerSession":
    """A version of it."""
    from reelrank.models.sessions import RankerSession  # its runtime is loaded where there is something to run

    return RankerSession(folder)


class RankerScorer:
    """Predicts every head and the watch time with the version that is live; when it fails it has written nothing."""

    name = RANKER

    def __init__(self, ranker: "Published[RankerSession]", columns: VideoColumns, histories: KeptHistories) -> None:
        self.histories = histories
        self._ranker = ranker
        self._columns = columns
        self.refresh()

    @property
    def live(self) -> bool:
        """Whether there is a network to ask."""
        return self._ranker.live is not None

    def refresh(self) -> None:
        """Loads another version if one became current, and forgets what the one before made of histories."""
        if self._ranker.refresh():
            self.histories.clear()

    def score(self, query: Query, candidates: Candidates) -> None:
        assert candidates.features is not None, "features are hydrated before they are scored"
        user = query.user if query.personalized else replace(query.user, user_id="")  # nobody has learned shifts
        heads, spoke = self.predictions((user,), (query.context,), (query.now,), (len(candidates),), candidates.rows, candidates.features)
        candidates.predictions |= heads
        candidates.models |= spoke

    def predictions(
        self, users: Sequence[User], contexts: Sequence[Context], moments: Sequence[float], sizes: Sequence[int], rows: Rows, features: Features
    ) -> tuple[dict[str, Column], dict[str, str]]:
        """What one version says of videos `rows` (n,) with `features` (n, F), and which one that is; nothing while none is live.

        The first `sizes[0]` videos are for `users[0]` in `contexts[0]` at `moments[0]` (UTC seconds), and so on. Raises ValueError where
        the network predicts what is no number, and whatever its runtime raises.
        """
        live = self._ranker.live
        if live is None or len(rows) == 0:
            return {}, {}
        session, columns = live.value, self._columns
        traits = VideoTraits.of(columns)
        said: list[dict[str, NDArray[np.float32]]] = []
        end = 0
        for user, context, now, size in zip(users, contexts, moments, sizes, strict=True):
            begin, end = end, end + size
            if size:
                tokens = tokens_of(deeds_of((user,)), columns.duration_s).before(np.array([now]))  # as in training: what was known then
                surface = columns.surfaces.get(context.surface, 0)
                history = self.histories.encode(session, user.user_id, tokens, traits, now)
                said.append(session.score(user.user_id, history, rows[begin:end], features[begin:end], surface, now, traits))
        heads = {head: np.concatenate([one[head] for one in said]).astype(np.float64) for head in said[0]}
        wrong = [head for head, values in heads.items() if not np.isfinite(values).all()]
        if wrong:
            raise ValueError(f"{RANKER} {live.name} predicts what is no number for {', '.join(wrong)}; roll it back")
        return heads, {RANKER: live.name}

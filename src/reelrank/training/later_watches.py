"""What users watched after a moment, and how much of it their vectors find: what retrieval models are chosen by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Floats, Rows
from reelrank.evaluation import retrieval
from reelrank.features.spans import covered
from reelrank.features.tokens import Action, Tokens
from reelrank.training.examples import ExamplesError

_LATER = 0.1  # of all timed tokens
_BLOCK = 1_024  # users ranked at a time


def judged_from(tokens: Tokens) -> float:
    """The moment (UTC seconds) from which on a tenth of all timed tokens are: what a model is judged by. Raises ExamplesError where none has a time."""
    at = tokens.occurred_at[np.isfinite(tokens.occurred_at)]
    if len(at) == 0:
        raise ExamplesError("no watch in the lake has a time, so nothing can be judged by what came later; gather some")
    return float(np.quantile(at, 1 - _LATER))


@dataclass(frozen=True, slots=True)
class LaterWatches:
    """The videos that u users watched long for the first time after a moment."""

    user: Rows  # (u,) places in the tokens
    indptr: Rows  # (u + 1,)
    video: Rows  # those of user[i] are video[indptr[i] : indptr[i + 1]], each once
    before: Tokens  # the histories at that moment

    @classmethod
    def of(cls, tokens: Tokens, moment: float, until: float = np.inf) -> "LaterWatches":
        """From `moment` on and before `until` (UTC seconds); what a user had on screen before does not count."""
        before = tokens.before(np.full(len(tokens.start) - 1, moment))
        width = int(tokens.video.max(initial=-1)) + 1
        long = (tokens.occurred_at >= moment) & (tokens.occurred_at < until) & ((tokens.actions & int(Action.LONG_VIEW)) > 0)
        pairs = np.setdiff1d((tokens.owner * width + tokens.video)[long], before.owner * width + before.video)
        owner, video = np.divmod(pairs, max(width, 1))
        user, counts = np.unique(owner, return_counts=True)
        return cls(user, np.concatenate([[0], np.cumsum(counts)]), video, before)

    def recall(self, users: Floats, videos: Floats, k: int) -> float:
        """The mean of `recalls`; nan if nobody watched anything later."""
        return float(self.recalls(users, videos, k).mean()) if len(self.user) else float("nan")

    def recalls(self, users: Floats, videos: Floats, k: int) -> NDArray[np.float64]:
        """The share of them among the k videos (m, d) nearest to each of `users` (u, d) that were not on screen before: (u,)."""
        found = [np.empty(0)]
        for first in range(0, len(self.user), _BLOCK):
            some = self.user[first : first + _BLOCK]
            scores = users[first : first + _BLOCK] @ videos.T
            seen, sizes = covered(self.before.start[some], self.before.start[some + 1])
            scores[np.repeat(np.arange(len(some)), sizes), self.before.video[seen]] = -np.inf
            indptr = self.indptr[first : first + len(some) + 1]
            hits = retrieval.found(retrieval.top(scores, k), indptr - indptr[0], self.video[indptr[0] : indptr[-1]])
            found.append(retrieval.recall(hits, np.diff(indptr)))
        return np.concatenate(found)

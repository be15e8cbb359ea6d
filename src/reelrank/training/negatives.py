"""What a retrieval model is to tell from what was watched: drawn videos with their chances, and videos that were skipped."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows
from reelrank.features.tokens import Action


@dataclass(frozen=True, slots=True)
class MixedNegatives:
    """Draws a batch's negatives: the positives of the others in it, and as many uniform ones as are asked for.

    Those of the batch are popular ones, the uniform ones anything: without them a video that is never watched is never
    a negative, and an index is full of such (Yang et al. 2020).
    """

    log_chances: NDArray[np.float32]  # (m,) log of how often a video is drawn per positive of a batch and uniform draw
    videos: int
    uniform: int

    @classmethod
    def of(cls, positives: Rows, videos: int, batch: int, uniform: int) -> "MixedNegatives":
        """For batches of about `batch` of the `positives` (n,), of `videos` in all, with `uniform` more negatives each."""
        often = np.bincount(positives, minlength=videos) / max(len(positives), 1)
        return cls(np.log(batch * often + uniform / videos + 1e-12).astype(np.float32), videos, uniform)

    def draw(self, positives: Rows, rng: np.random.Generator) -> Rows:
        """The negatives that a batch shares: (len(positives) + uniform,)."""
        return np.concatenate([positives, rng.integers(self.videos, size=self.uniform)])


def next_positives(video: Rows, actions: NDArray[np.uint8], starts: Rows, positive: Action = Action.LONG_VIEW) -> Rows:
    """What is to be predicted after each token: the video of the next one if it has `positive`, else -1. (t,)"""
    targets = np.full(len(video), -1, dtype=np.int64)
    wanted = (actions[1:] & int(positive)) > 0
    targets[:-1][wanted] = video[1:][wanted]
    targets[starts[1:][np.diff(starts) > 0] - 1] = -1  # a user's last token is followed by nothing
    return targets


def skipped_nearby(video: Rows, actions: NDArray[np.uint8], starts: Rows, targets: Rows, reach: int = 10) -> Rows:
    """The hard negative of each target: the video swiped away soonest after it, within `reach` tokens, else -1. (t,)

    Served to the same person in the same minutes and not wanted: it differs from the target by taste, not by popularity.
    """
    count = len(video)
    skipped = np.flatnonzero(actions == 0)
    following = np.append(skipped, count)[np.searchsorted(skipped, np.arange(count) + 2)]  # the target itself is one token away
    end = np.repeat(starts[1:], np.diff(starts))
    usable = (targets >= 0) & (following < end) & (following - np.arange(count) - 1 <= reach)
    hard = np.where(usable, video[np.minimum(following, count - 1)], -1)
    return np.where(hard == targets, -1, hard)

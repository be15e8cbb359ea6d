"""Where co-watches put videos: those that the same people watch lie close together."""

import numpy as np
from scipy.sparse import csr_array, diags_array

from reelrank.domain.arrays import Floats, Rows
from reelrank.models.video_tables import UNSEEN

_SPARE = 16  # directions more than are asked for, while they are searched
_ROUNDS = 4


def co_watch_space(users: Rows, rows: Rows, count: int, width: int, seed: int = 0) -> Floats:
    """The strongest `width` directions of who watched what, as a vector with a mean square of 1 for each of `count` rows.

    User `users[i]` watched the video of row `rows[i]`. The matrix is normalised by both degrees, so that neither the busy
    nor the popular decide; its singular vectors are found by a randomised search (Halko et al. 2011). Rows that nobody
    watched, and UNSEEN, are 0.
    """
    seen = rows != UNSEEN
    watched = csr_array((np.ones(int(seen.sum()), dtype=np.float32), (users[seen], rows[seen])), shape=(int(users.max(initial=0)) + 1, count))
    watched.sum_duplicates()
    watched.data[:] = 1.0
    by_user, by_row = (1 / np.sqrt(np.maximum(watched.sum(axis=axis), 1)) for axis in (1, 0))
    watched = csr_array(diags_array(by_user) @ watched @ diags_array(by_row))
    found = np.random.default_rng(seed).normal(size=(count, min(width + _SPARE, count)))
    for _ in range(_ROUNDS):
        found, _ = np.linalg.qr(watched.T @ (watched @ found))
    _, strength, directions = np.linalg.svd(watched @ found, full_matrices=False)
    space = (found @ directions.T * np.sqrt(strength))[:, :width]  # (count, at most width)
    length = np.linalg.norm(space, axis=1, keepdims=True)
    space = np.where(length > 1e-9, space / np.maximum(length, 1e-9) * np.sqrt(width), 0.0)
    return np.pad(space, ((0, 0), (0, width - space.shape[1]))).astype(np.float32)

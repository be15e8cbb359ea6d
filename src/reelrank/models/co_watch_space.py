"""Where co-watches put videos: those that the same people watch lie close together."""

import numpy as np
from scipy.sparse import csr_array, diags_array

from reelrank.features.tokens import Rows
from reelrank.models.ranker_inputs import Floats

_SPARE = 16  # directions more than are asked for, while they are searched
_ROUNDS = 4


def co_watch_space(users: Rows, videos: Rows, count: int, width: int, seed: int = 0) -> Floats:
    """The strongest `width` directions of who watched what, as a vector with a mean square of 1 for each of `count` videos.

    User `users[i]` watched `videos[i]`. The matrix is normalised by both degrees, so that neither the busy nor the popular
    decide; its singular vectors are found by a randomised search (Halko et al. 2011). A video that nobody watched lies at 0.
    """
    matrix = csr_array((np.ones(len(users), dtype=np.float32), (users, videos)), shape=(int(users.max(initial=0)) + 1, count))
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    by_user, by_video = (1 / np.sqrt(np.maximum(matrix.sum(axis=axis), 1)) for axis in (1, 0))
    matrix = csr_array(diags_array(by_user) @ matrix @ diags_array(by_video), dtype=np.float32)
    found = np.random.default_rng(seed).normal(size=(count, width + _SPARE))
    for _ in range(_ROUNDS):
        found, _ = np.linalg.qr(matrix.T @ (matrix @ found))
    _, strength, directions = np.linalg.svd(matrix @ found, full_matrices=False)
    space = (found @ directions.T * np.sqrt(strength))[:, :width]  # (count, at most width)
    length = np.linalg.norm(space, axis=1, keepdims=True)
    space = np.where(length > 1e-9, space / np.maximum(length, 1e-9) * np.sqrt(width), 0.0)
    return np.pad(space, ((0, 0), (0, width - space.shape[1]))).astype(np.float32)

"""Circles of friends: everybody watches what belongs to their own circle, and now and then something else."""

import numpy as np
from scipy.sparse import csr_array


def of_circles(circles: int, each: int) -> np.ndarray:
    """The circle of each video, `each` in one: (circles * each,)."""
    return np.repeat(np.arange(circles), each)


def watched_by(users: int, of_video: np.ndarray, rng: np.random.Generator, often: float = 0.4, stray: float = 0.01) -> np.ndarray:
    """Who watched what, (users, videos): user i is of circle i % circles, and watches a video of it as `often`, another as `stray`."""
    own = np.equal.outer(np.arange(users) % (of_video.max() + 1), of_video)
    return rng.random(own.shape) < np.where(own, often, stray)


def held_out(watched: np.ndarray, rng: np.random.Generator, share: float = 0.2) -> tuple[csr_array, csr_array]:
    """What is learned from, and what was watched as well and is to be found."""
    out = watched & (rng.random(watched.shape) < share)
    return csr_array((watched & ~out).astype(np.float32)), csr_array(out.astype(np.float32))

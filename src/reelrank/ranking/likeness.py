"""Likeness: how alike candidates are by what is known of their content, one against all others at a time."""

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column, Rows
from reelrank.features.columns import VideoColumns

_TAGS, _WEIGHTS = 0.45, np.array([0.35, 0.1, 0.1], dtype=np.float32)  # what tags, and author, sound and length say; together 1: a video is like itself
_BUCKETS = 64  # tags are hashed into so many, with a sign, so that two that meet in one are as often unlike as alike
_SCATTER = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ over the golden ratio: neighbouring rows end up far apart


class Likeness:
    """Compares n candidates by tags, author, sound and length: 1 for the same, 0 for nothing in common.

    A sum of kernels, and so one itself (positive semidefinite): equal authors, sounds and classes of length, and the cosine
    of vectors of unit length. Today these are the tags; vectors of picture and sound belong beside them, into `_vectors`.
    """

    def __init__(self, columns: VideoColumns, rows: Rows) -> None:
        codes = np.stack([columns.author_row[rows], columns.sound_row[rows], columns.length_class[rows]])  # (3, n)
        self._codes = np.where(codes >= 0, codes, -1 - np.arange(len(rows)))  # what has no sound has none in common
        self._vectors = _tag_vectors(columns.tag_rows[rows]) * np.float32(np.sqrt(_TAGS))

    def to(self, place: int) -> NDArray[np.float32]:
        """How alike every candidate is to the one at `place`: (n,)."""
        alike = self._vectors @ self._vectors[place]
        alike += _WEIGHTS @ (self._codes == self._codes[:, place, None]).astype(np.float32)
        alike[place] = 1.0
        return alike

    def matrix(self) -> Column:
        """All of it: (n, n)."""
        return np.stack([self.to(place) for place in range(len(self._vectors))]).astype(np.float64) if len(self._vectors) else np.empty((0, 0))


def _tag_vectors(tag_rows: Rows) -> NDArray[np.float32]:
    """Tags (n, T), -1 for none, as vectors of unit length: (n, _BUCKETS). The cosine of two is about the share of tags they have in common."""
    count = len(tag_rows)
    owner, slots = np.nonzero(tag_rows >= 0)
    hashed = tag_rows[owner, slots].astype(np.uint64) * _SCATTER >> np.uint64(32)
    bucket, sign = (hashed % np.uint64(_BUCKETS)).astype(np.int64), 1.0 - 2.0 * (hashed >> np.uint64(31)).astype(np.float64)
    vectors = np.bincount(owner * _BUCKETS + bucket, weights=sign, minlength=count * _BUCKETS).reshape(count, _BUCKETS).astype(np.float32)
    return vectors / np.maximum(np.sqrt((vectors * vectors).sum(axis=1, keepdims=True)), np.float32(1e-6))

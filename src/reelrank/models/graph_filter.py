"""A polynomial filter on the user-video graph: what a history says of every video, a few hops away and through likeness of content."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from reelrank.domain.arrays import Floats
from reelrank.models.edges import canonical

Smoother = tuple[Floats, Floats]

_BLOCK = 1024  # rows of the video x video likeness that are computed at a time
_POWER_STEPS = 100  # cheap beside a single hop of many users


class FilterShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the filter weighs its parts. The defaults are the plain normalised graph; what a data set needs is chosen by validation.

    Positive weights of further hops smooth (sparse graphs need that), negative ones sharpen (dense graphs gain by it).
    """

    user_exponent: float = 0.5  # the higher, the less the busy users say
    in_exponent: float = 0.5  # the higher, the less a history's popular videos say
    out_exponent: float = 0.5  # the higher, the more popular what is found
    hops: tuple[float, ...] = (1.0,)  # weight of the first, second, … hop
    like_watched: tuple[float, ...] = ()  # per content graph: weight of what resembles the history itself
    flow: float = 0.0  # how much of the scores is what content predicts of them


@dataclass(frozen=True, slots=True)
class Parts:
    """What the hops, and then the content graphs, say to n users of v videos, before it is weighed."""

    hops: list[Floats]  # (n, v) each
    like_watched: list[Floats]  # (n, v) each


class GraphFilter:
    """Graph filtering without training (after GF-CF, Shen et al. 2021, and BSPM, Choi et al. 2023), with an exponent for each side and with content.

    With R the users x videos matrix, Z = D_user^-a R D_video^-1/2 (scaled to a largest singular value of 1, so that a hop
    weighs the same whatever a) and P = ZᵀZ, a history x gets
    (Σ_k w_k x D_video^-c P^k + Σ_m l_m x D_video^-c A_m) D_video^o (I + f K Qᵀ), where A_m joins videos of like content
    and K Qᵀ predicts scores from content. Any history has scores, whether or not its user is one of the rows of R.
    """

    def __init__(self, watched: csr_array, likeness: Sequence[csr_array] = ()) -> None:
        """`watched` is (users, v), amounts above 0; each graph of `likeness` (v, v), symmetric."""
        self._watched = watched
        self._likeness = list(likeness)
        self._users = _degrees(watched, axis=1)
        self._videos = _degrees(watched, axis=0)
        self._kept: dict[float, tuple[csr_array, csr_array]] = {}

    def parts(self, histories: csr_array, user_exponent: float, in_exponent: float, hops: int) -> Parts:
        """What each part says to the owners of `histories` (n, v)."""
        to_users, to_videos = self._steps(user_exponent)
        signal = csr_array((histories @ diags_array(self._videos**-in_exponent)).T).astype(np.float32)  # (v, n): sparse times dense is fastest so
        reached, found = signal, []
        for _ in range(hops):
            reached = to_videos @ (to_users @ reached)
            found.append(_dense(reached))
            reached = np.ascontiguousarray(found[-1].T)
        return Parts(found, [_dense(graph @ signal) for graph in self._likeness])

    def _steps(self, user_exponent: float) -> tuple[csr_array, csr_array]:
        """Z (users, v) and its transpose; those of the exponent that was asked for last are kept, as users are scored in blocks."""
        if user_exponent not in self._kept:
            into = csr_array(diags_array(self._users**-user_exponent) @ self._watched @ diags_array(self._videos**-0.5))
            scaled = canonical(into / _largest_singular_value(into, self._videos**0.5))
            self._kept = {user_exponent: (scaled, csr_array(scaled.T))}
        return self._kept[user_exponent]

    def combine(self, parts: Parts, shape: FilterShape, smoother: Smoother | None = None) -> Floats:
        """The parts weighed: scores (n, v). `smoother` is what content predicts, (Q, K) of (v, d); without it nothing flows."""
        scores = np.zeros_like(parts.hops[0])
        for weight, part in [*zip(shape.hops, parts.hops, strict=False), *zip(shape.like_watched, parts.like_watched, strict=False)]:
            if weight:
                scores += np.float32(weight) * part
        scores *= (self._videos**shape.out_exponent).astype(np.float32)
        if shape.flow and smoother is not None:
            predicts, known = smoother
            scores += (np.float32(shape.flow) * (scores @ known)) @ predicts.T
        return scores

    def scores(self, histories: csr_array, shape: FilterShape, smoother: Smoother | None = None) -> Floats:
        """The scores (n, v) of all videos for the owners of `histories` (n, v), watched ones included."""
        return self.combine(self.parts(histories, shape.user_exponent, shape.in_exponent, len(shape.hops)), shape, smoother)


def likeness_graph(vectors: Floats, neighbours: int) -> csr_array:
    """Each video joined to its `neighbours` nearest by the cosine of centred content vectors (v, d): symmetric, degrees taken out.

    (v, v). A video without content (all zeros) is joined to nobody.
    """
    known = np.abs(vectors).sum(axis=1) > 0
    centred = np.where(known[:, None], vectors - vectors[known].mean(axis=0) if known.any() else vectors, 0).astype(np.float32)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    count = len(unit)
    keep = min(neighbours, count - 1)
    near, far, cosines = [], [], []
    for start in range(0, count if keep > 0 else 0, _BLOCK):
        block = unit[start : start + _BLOCK] @ unit.T  # (rows, v)
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -1
        chosen = np.argpartition(-block, keep - 1, axis=1)[:, :keep]
        near.append(np.repeat(np.arange(start, start + len(block)), keep))
        far.append(chosen.ravel())
        cosines.append(np.maximum(np.take_along_axis(block, chosen, axis=1), 0).ravel())
    if not near:
        return csr_array((count, count), dtype=np.float32)
    joined = csr_array((np.concatenate(cosines), (np.concatenate(near), np.concatenate(far))), shape=(count, count))
    joined = (joined + joined.T) / 2
    degrees = diags_array(np.maximum(np.asarray(joined.sum(axis=1)).ravel(), 1e-9) ** -0.5)
    return canonical(degrees @ joined @ degrees)


def _degrees(watched: csr_array, axis: int) -> NDArray[np.float64]:
    """How much each user or video was watched, 1 at least: what nobody touched has no say anyway."""
    return np.maximum(np.asarray(watched.sum(axis=axis), dtype=np.float64).ravel(), 1.0)


def _dense(columns: csr_array | Floats) -> Floats:
    """(v, n) as a row per user: (n, v)."""
    whole = columns.toarray() if isinstance(columns, csr_array) else columns
    return np.ascontiguousarray(whole.T)


def _largest_singular_value(matrix: csr_array, vector: NDArray[np.float64]) -> float:
    """By power iteration from a positive `vector`, which is the answer itself when the user exponent is 1/2."""
    for _ in range(_POWER_STEPS):
        vector = matrix.T @ (matrix @ vector)
        vector /= max(float(np.linalg.norm(vector)), 1e-30)
    return max(float(np.linalg.norm(matrix @ vector)), 1e-30)

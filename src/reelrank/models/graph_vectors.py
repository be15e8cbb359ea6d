"""Vectors of videos from the user-video graph: who watches gets one at once, and so does a video that nobody has watched."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import svds

from reelrank.domain.arrays import Floats, Rows
from reelrank.features.tokens import Action
from reelrank.models.content_space import regress
from reelrank.models.edges import size
from reelrank.storage.array_record import ArrayRecord


class GraphShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How vectors are made of the graph's spectrum; chosen by validation."""

    width: int = 64
    power: float = 1.0  # of the eigenvalues: the higher, the smoother
    in_exponent: float = 0.5  # the higher, the less a history's popular videos say
    out_exponent: float = 0.5  # the higher, the more popular what is found
    ridge: float = 10.0  # of what content says of a video
    lean: float = 0.0  # towards what is popular, or looks like it, in standard deviations of scores
    trust: float = 5.0  # watches after which a video's own vector weighs as much as what its content says


@dataclass(frozen=True, slots=True)
class GraphVectors(ArrayRecord):
    """Two vectors for each of v videos; how well a video suits a history is the product of the history's vector and the video's `finds`."""

    reads: Floats  # (v, width + 1) what a watch adds to the vector of who watches
    finds: Floats  # (v, width + 1)

    def write(self, folder: Path) -> None:
        """Writes one file for each side, as `mapped` reads them."""
        for side in _SIDES:
            np.save(folder / f"{side}.npy", getattr(self, side))

    @classmethod
    def mapped(cls, folder: Path) -> Self:
        """What `write` wrote, on pages that processes share; also the one file that releases before wrote. Raises OSError, KeyError or ValueError."""
        before = folder / "graph.npz"
        return cls.load(before) if before.exists() else cls(*(np.load(folder / f"{side}.npy", mmap_mode="r") for side in _SIDES))

    def user(self, rows: Rows, amounts: Floats) -> Floats:
        """The vector (width + 1,) of who watched the video `rows` (n,), each `amounts` (n,) much; videos that are newer than this are passed over."""
        known = rows < len(self.reads)
        return amounts[known].astype(np.float32) @ self.reads[rows[known]]

    def scores(self, rows: Rows, amounts: Floats) -> Floats:
        """How well each video suits that history: (v,)."""
        return self.finds @ self.user(rows, amounts)


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The largest singular values of the normalised graph and their vectors of videos.

    Degrees are raised by their mean (Qin & Rohe 2013): otherwise every handful of videos that nobody else's watchers
    know has a singular value of 1, and crowds out what is shared by many.
    """

    values: Floats  # (k,) descending, below 1
    vectors: Floats  # (v, k)
    watched: NDArray[np.float64]  # (v,) how much each video was watched


def spectrum(watched: csr_array, width: int) -> Spectrum:
    """Decomposes `watched` (users, v), amounts above 0. Repeatable; fewer than `width` where the graph has not so many."""
    people, count = size(watched)
    width = min(width, people - 1, count - 1)
    if width < 1 or watched.nnz == 0:
        raise ValueError(f"a graph of {people} users and {count} videos with {watched.nnz} edges is too small; it takes two of each")
    users, videos = (np.asarray(watched.sum(axis=axis), dtype=np.float64).ravel() for axis in (1, 0))
    scaled = diags_array((users + users.mean()) ** -0.5) @ watched @ diags_array((videos + videos.mean()) ** -0.5)
    begin = np.random.default_rng(0).random(min(people, count)) + 0.5  # the same every time
    _, values, found = cast(tuple[Floats, Floats, Floats], svds(csr_array(scaled), k=width, v0=begin))
    order = np.argsort(-values)
    return Spectrum(values[order].astype(np.float32), np.ascontiguousarray(found[order].T, dtype=np.float32), videos)


def vectors(graph: Spectrum, shape: GraphShape, features: Floats | csr_array | None = None) -> GraphVectors:
    """Vectors of a shape: the low-pass filter D^-c V λ^p Vᵀ D^o cut in half, and where videos have `features` (v, f), what those say of it.

    One more column leans towards what is popular. A video with n watches is its own vector and the one that a ridge
    predicts from its content, n to `trust`: nobody's watches, content alone (after inductive maps from content to
    factors, e.g. Gantner et al. 2010).
    """
    half = graph.vectors[:, : shape.width] * graph.values[: shape.width] ** np.float32(shape.power)  # λ = value², cut in half
    degrees = np.maximum(graph.watched, 1.0)
    reads = half * (degrees**-shape.in_exponent)[:, None].astype(np.float32)
    finds = half * (degrees**shape.out_exponent)[:, None].astype(np.float32)
    popularity = np.log1p(graph.watched).astype(np.float32)[:, None]
    known = graph.watched > 0
    if features is not None:
        own = (graph.watched / np.maximum(graph.watched + shape.trust, 1e-9))[:, None].astype(np.float32)
        all_three = np.hstack([reads, finds, popularity])
        middle = all_three[known].mean(axis=0)
        said = middle + features @ regress(features[known], all_three[known] - middle, shape.ridge)
        reads, finds, popularity = np.split(own * all_three + (1 - own) * said, [half.shape[1], 2 * half.shape[1]], axis=1)
    spread = float(np.sum((reads.T @ reads) * (finds.T @ finds))) ** 0.5 / len(reads)  # of the score between two videos
    lean = np.float32(shape.lean * spread / max(float(popularity[known].std()), 1e-9)) * (popularity - popularity[known].mean())
    return GraphVectors(*(np.ascontiguousarray(part, dtype=np.float32) for part in (np.hstack([reads, np.ones_like(lean)]), np.hstack([finds, lean]))))


def edges(owner: Rows, rows: Rows, actions: NDArray[np.uint8]) -> tuple[Rows, Rows, Floats]:
    """What users did as edges of the graph, each (user, video) once: owners, video rows and how much they engaged, ascending (e,).

    Deed i is of user `owner[i]`, about video `rows[i]`, with the bits `actions[i]`. What somebody hid is no edge. The
    same for training and serving.
    """
    if len(rows) == 0:
        return owner, rows, np.empty(0, dtype=np.float32)
    width = int(rows.max()) + 1
    pairs, places = np.unique(owner * width + rows, return_inverse=True)
    amounts = np.bincount(places, weights=_ENGAGEMENT[actions])
    stays = np.bincount(places, weights=(actions & int(Action.HIDE)) > 0) == 0
    users, videos = np.divmod(pairs[stays], width)
    return users, videos, amounts[stays].astype(np.float32)


_SIDES = ("reads", "finds")
_SKIP = 0.1  # what was swiped away says a little: somebody thought that it would please
_WORTH = {Action.CLICK: 0.5, Action.LONG_VIEW: 0.5, Action.LIKE: 1.0, Action.SHARE: 1.0, Action.COMMENT: 0.5}  # of the bits; they add up
_ENGAGEMENT = np.array([sum(worth for bit, worth in _WORTH.items() if actions & bit) or _SKIP for actions in range(256)])

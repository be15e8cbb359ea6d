"""Linear item-to-item in closed form: how much a watch of one video speaks for another (EASE, Steck 2019)."""

from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs
from scipy.sparse import csr_array

from reelrank.domain.arrays import Floats, Rows
from reelrank.features.spans import covered
from reelrank.storage.array_record import ArrayRecord

_BLOCK = 512  # rows of the video x video matrix that are handled at a time: bounds what is needed beside the matrix itself


class ItemToItemConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the closed form costs and how far it looks.

    Time grows with the cube of `max_videos` and memory with its square: 10,000 videos take 400 MB and about
    20 s of one core. Videos beyond that are left to the other sources.
    """

    max_videos: int = 10_000  # the most-watched ones take part
    neighbours: int = 128  # kept per video
    ridge: float = 1_000.0  # the more, the more co-watches it takes to be believed


@dataclass(frozen=True, slots=True)
class ItemToItem(ArrayRecord):
    """The strongest neighbours of m videos. Places 0 … m-1 are those of `videos`."""

    videos: Rows  # (m,) dense video rows, ascending
    indptr: Rows  # (m + 1,) place i speaks for neighbours[indptr[i] : indptr[i + 1]]
    neighbours: NDArray[np.int32]  # (pairs,) places
    weights: Floats  # (pairs,)
    log_popularity: Floats  # (m,) log(1 + how often it was watched lately)

    def places_of(self, rows: Rows) -> Rows:
        """The places of video rows (n,), -1 for those that take no part."""
        if len(self.videos) == 0:
            return np.full(len(rows), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.videos, rows), len(self.videos) - 1)
        return np.where(self.videos[places] == rows, places, -1)

    def scores(self, rows: Rows, amounts: Floats) -> Floats:
        """What a history, `amounts` (n,) of the video rows (n,), says about each of `videos`: (m,)."""
        return self.scores_of(self.places_of(rows), amounts)

    def scores_of(self, places: Rows, amounts: Floats) -> Floats:
        """The same of a history whose places are known: (n,), -1 for what takes no part."""
        known = places >= 0
        places, amounts = places[known], amounts[known]
        pairs, counts = covered(self.indptr[places], self.indptr[places + 1])
        spoken = self.weights.take(pairs) * np.repeat(amounts, counts)
        return np.bincount(self.neighbours.take(pairs), weights=spoken, minlength=len(self.videos)).astype(np.float32)


def without_pairs(model: ItemToItem) -> ItemToItem:
    """The same videos, none of which speaks for another."""
    return replace(model, indptr=np.zeros_like(model.indptr), neighbours=model.neighbours[:0], weights=model.weights[:0])


def fit(users: Rows, rows: Rows, amounts: Floats, popularity: NDArray[np.float64], config: ItemToItemConfig | None = None) -> ItemToItem:
    """Solves B = I - P diag(1 / diag P) with P = (XᵀX + ridge I)⁻¹, and keeps the strongest entries of each row.

    User `users[j]` (dense numbers) watched video `rows[j]`, which counts `amounts[j]`; of a pair that comes more than
    once the largest amount counts. `popularity[row]` is how often a video was watched lately.
    """
    config = config or ItemToItemConfig()
    watched = np.bincount(rows, minlength=len(popularity))
    videos = np.sort(np.argsort(-watched, kind="stable")[: min(config.max_videos, np.count_nonzero(watched))])
    history = _history(users, rows, amounts, videos)
    precision = _inverse(_gram(history, len(videos), config.ridge))
    indptr, neighbours, weights = _strongest(precision, config.neighbours)
    return ItemToItem(videos, indptr, neighbours, weights, np.log1p(popularity[videos]).astype(np.float32))


def _history(users: Rows, rows: Rows, amounts: Floats, videos: Rows) -> csr_array:
    """Users x videos, each pair once: (users, m)."""
    places = np.full(int(rows.max(initial=-1)) + 1, -1, dtype=np.int64)
    places[videos] = np.arange(len(videos))
    inside = np.flatnonzero(places[rows] >= 0)
    pairs = users[inside] * len(videos) + places[rows[inside]]
    order = np.lexsort((amounts[inside], pairs))
    last = np.append(pairs[order][1:] != pairs[order][:-1], True)[: len(order)]  # the largest amount of each pair
    pairs, values = pairs[order][last], amounts[inside][order][last].astype(np.float32)
    shape = (int(users.max(initial=-1)) + 1, len(videos))
    return csr_array((values, np.divmod(pairs, max(len(videos), 1))), shape=shape)


def _gram(history: csr_array, m: int, ridge: float) -> Floats:
    """XᵀX + ridge I, a block of rows at a time: (m, m)."""
    gram = np.empty((m, m), dtype=np.float32, order="F")
    by_video = csr_array(history.T)
    for start in range(0, m, _BLOCK):
        block = by_video[start : start + _BLOCK] @ history
        gram[:, start : start + _BLOCK] = block.toarray().T
    gram.reshape(-1, order="F")[:: m + 1] += ridge
    return gram


def _inverse(gram: Floats) -> Floats:
    """The inverse of a positive definite matrix, in its place; only the lower triangle is meant."""
    if len(gram) == 0:
        return gram
    factorise, invert = get_lapack_funcs(("potrf", "potri"), (gram,))
    factor, problem = factorise(gram, lower=1, clean=0, overwrite_a=1)
    if problem == 0:
        factor, problem = invert(factor, lower=1, overwrite_c=1)
    if problem != 0:
        raise ValueError(f"the co-watches of {len(gram)} videos can't be inverted (LAPACK says {problem}); raise `ridge`")
    return factor


def _strongest(precision: Floats, keep: int) -> tuple[Rows, NDArray[np.int32], Floats]:
    """The `keep` largest positive entries of each row of B, as (indptr, neighbours, weights)."""
    m = len(precision)
    scale = -1 / np.diagonal(precision)
    counts, neighbours, weights = [np.zeros(1, dtype=np.int64)], [np.empty(0, dtype=np.int32)], [np.empty(0, dtype=np.float32)]
    for start in range(0, m, _BLOCK):
        end = min(start + _BLOCK, m)
        block = np.empty((end - start, m), dtype=np.float32)  # rows of B; above the diagonal they lie in the columns below it
        corner = np.tril(precision[start:end, start:end])
        block[:, :start] = precision[start:end, :start]
        block[:, start:end] = corner + np.tril(corner, -1).T
        block[:, end:] = precision[end:, start:end].T
        block *= scale
        block[np.arange(end - start), np.arange(start, end)] = 0
        chosen = np.sort(np.argpartition(-block, min(keep, m) - 1, axis=1)[:, :keep], axis=1)  # (rows, keep)
        values = np.take_along_axis(block, chosen, axis=1)
        speaks = values > 0
        counts.append(speaks.sum(axis=1))
        neighbours.append(chosen[speaks].astype(np.int32))
        weights.append(values[speaks])
    return np.cumsum(np.concatenate(counts)), np.concatenate(neighbours), np.concatenate(weights)

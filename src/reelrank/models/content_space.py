"""Content as vectors that a ridge can read: kernel features of what is in a video, and what they predict of anything known per video."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.sparse import csr_array, diags_array, hstack

from reelrank.domain.arrays import Floats
from reelrank.models.edges import canonical, size

_SHARPNESS = 2.0  # the kernel is exp(cosine - 1) to this power: unrelated videos, at cosine 0, still know e⁻² of each other


def side_by_side(kinds: Sequence[Floats]) -> Floats:
    """Content of several kinds, (v, d) each, as one vector of unit length: each kind centred, and weighing the same. (v, sum of d).

    A kind that a video does not have (all zeros) stays zero.
    """
    return np.hstack([_unit(vectors) for vectors in kinds]) / np.float32(np.sqrt(len(kinds)))


def kernel_features(kinds: Sequence[Floats], count: int, rng: np.random.Generator) -> Floats:
    """Random Fourier features of a Gaussian kernel (Rahimi & Recht 2007) over content of several kinds, (v, d) each: (v, count).

    Its width is the same for every data set, as lengths are taken out. A video without content (all zeros, in every kind) has none here either.
    """
    together = side_by_side(kinds)  # unrelated videos at distance √2
    directions = rng.standard_normal((together.shape[1], count)).astype(np.float32) * np.float32(np.sqrt(_SHARPNESS))
    shifts = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
    features = np.cos(together @ directions + shifts) * np.float32(np.sqrt(2 / count))
    features[~np.any(together, axis=1)] = 0
    return features


def one_hot(codes: NDArray[np.int64]) -> csr_array:
    """Columns of codes, (v,) or (v, several), -1 for none, as a 1 in the column of each: (v, highest code + 1)."""
    columns = codes.reshape(len(codes), -1)
    videos, places = np.nonzero(columns >= 0)
    return csr_array((np.ones(len(videos), dtype=np.float32), (videos, columns[videos, places])), shape=(len(codes), int(codes.max(initial=-1)) + 1))


def code_features(kinds: Sequence[csr_array], most: int) -> csr_array:
    """What videos share by name, such as author, tags and sound, (v, codes) each: the `most` frequent codes of all kinds, (v, at most `most`).

    A code of a single video can't say anything of another one and is left out. What is rarer says more (idf), and the
    kinds of a video together have length 1.
    """
    together = canonical(hstack(list(kinds)))
    videos, codes_in_all = size(together)
    counts = np.bincount(together.indices, minlength=codes_in_all)
    kept = np.argsort(-counts, kind="stable")[:most]
    kept = np.sort(kept[counts[kept] > 1])
    rarity = np.log((videos + 1) / counts[kept])
    weighed = csr_array(together[:, kept] @ diags_array(rarity))
    lengths = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    return canonical(diags_array(1 / np.maximum(lengths, 1e-9)) @ weighed)


def smoother(features: Floats, ridge: float, known: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """(Q, K), each (v, d), with Q Kᵀ = F (F_kᵀF_k + ridge I)⁻¹ F_kᵀ: times any column over the `known` videos, what a ridge predicts of it for all.

    F (v, d) are the features, F_k those of the known videos.
    """
    predicts = solve_triangular(_factor(features[known], ridge), features.T, lower=True).T.astype(np.float32)
    return predicts, np.where(known[:, None], predicts, np.float32(0))


def regress(features: Floats | csr_array, targets: Floats, ridge: float) -> Floats:
    """The weights (d, k) of a ridge that predicts `targets` (v, k) from `features` (v, d)."""
    return cho_solve((_factor(features, ridge), True), features.T @ targets).astype(np.float32)


def _factor(features: Floats | csr_array, ridge: float) -> NDArray[np.float64]:
    gram = features.T @ features
    gram = (gram if isinstance(gram, np.ndarray) else gram.toarray()).astype(np.float64)
    gram[np.diag_indices(len(gram))] += ridge
    return cholesky(gram, lower=True)


def _unit(vectors: Floats) -> Floats:
    """Centred, of length 1; all zeros stay."""
    known = np.any(vectors, axis=1)
    if not known.any():
        return np.zeros_like(vectors, dtype=np.float32)
    centred = np.where(known[:, None], vectors - vectors[known].mean(axis=0), 0)
    return (centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)).astype(np.float32)

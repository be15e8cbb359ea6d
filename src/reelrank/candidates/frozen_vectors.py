"""FrozenVectors: vectors in cells, written to a file once and mapped from there by every process of the machine; nearly all of the nearest are found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.candidates.row_bits import Bits
from reelrank.domain.arrays import Floats, Rows

NEAREST = 100  # of which recall is told
_FILE = "vectors.faiss"
_WIDTH = "width"  # a file beside it: how long a vector is before it is filled up
_LANES = 16  # numbers that are compared at once: vectors whose length is no multiple of it would be compared number by number
_LEARNED_FROM = 48  # vectors for each cell that its centre is learned from: more makes it hardly better
_AT_A_TIME = 50_000  # vectors that are made and added at once
_DEEPER = 2  # times as many nearest as are told of: what a user has seen lies among them, and is passed over
_SURE = 2.0  # standard errors that the recall of the probes must lie above the one that is wanted
_RIDGE = 4.0  # how far queries are taken to vary in every direction, in means over all of them, beside what they are seen to


class Frozen(NamedTuple):
    """What building came to."""

    vectors: int
    cells: int
    visited: int  # cells, in each search
    recall: float  # of the nearest, over the probes


def freeze(
    folder: Path, count: int, vectors_of: Callable[[Rows], Floats], probes: Floats, recall: float, on_progress: Callable[[int], None] = lambda _: None
) -> Frozen:
    """Writes the vectors (count, d) of the rows 0 … count - 1 into `folder`, in cells (inverted lists, Sivic & Zisserman 2003) and half precision.

    Cells are made for those who ask as the `probes` (p, d) do: every second one of them tells where queries lie (see `_as_queries_lie`), the others
    how many cells a search visits: as many as it takes until they find at least `recall` of their two hundred nearest by the whole numbers, for
    certain and not by chance; all of them if it must be. `on_progress` is told of rows.
    """
    faiss = _faiss()
    blocks = [np.arange(start, min(start + _AT_A_TIME, count)) for start in range(0, count, _AT_A_TIME)]
    (folder / _WIDTH).write_text(str(probes.shape[1]))
    probes = _filled(probes)
    vectors = np.zeros((count, probes.shape[1]), dtype=np.float32)
    for rows in blocks:
        vectors[rows[0] : rows[-1] + 1] = _filled(vectors_of(rows))
        on_progress(len(rows))
    learned_from, tried = (probes[::2], probes[1::2]) if len(probes) > 1 else (probes, probes)
    turned, back = _as_queries_lie(learned_from)
    width, cells = vectors.shape[1], cells_for(count)
    centres = faiss.Kmeans(width, cells, niter=10, min_points_per_centroid=1, max_points_per_centroid=_LEARNED_FROM)
    centres.train(vectors[:: max(1, count // (_LEARNED_FROM * cells))] @ turned)
    visits = faiss.IndexFlatIP(width)  # a vector lies in the cell nearest to it; cells are visited by the products that are to be expected in them
    visits.add(centres.centroids @ back.T)
    half = faiss.ScalarQuantizer.QT_fp16  # half the memory, faster to read, and as good as the whole numbers
    index = faiss.IndexIVFScalarQuantizer(visits, width, cells, half, faiss.METRIC_INNER_PRODUCT, False)
    index.train(vectors[:1])  # there is nothing to learn any more
    for rows in blocks:
        block = vectors[rows[0] : rows[-1] + 1]
        cell = centres.assign(block @ turned)[1].astype(np.int64)
        index.add_core(len(block), faiss.swig_ptr(block), None, faiss.swig_ptr(cell))
    among = min(_DEEPER * NEAREST, count)
    nearest = faiss.knn(tried, vectors, among, metric=faiss.METRIC_INNER_PRODUCT)[1]
    visited, found = _visited(index, tried, nearest, recall)
    index.nprobe = visited
    faiss.write_index(index, str(folder / _FILE))
    return Frozen(count, cells, visited, found)


def cells_for(count: int) -> int:
    """How many cells so many vectors lie in: finding the nearest cells and looking into them then take about as long."""
    return max(1, int(2 * np.sqrt(count)))


class FrozenVectors:
    """What `freeze` wrote. Safe to search from several threads; its pages belong to the file, so that processes share them."""

    def __init__(self, folder: Path) -> None:
        self._faiss = _faiss()
        self._index: Any = self._faiss.read_index(str(folder / _FILE), self._faiss.IO_FLAG_MMAP_IFC)
        width = folder / _WIDTH
        self.width = int(width.read_text()) if width.exists() else int(self._index.d)  # indexes were built without it before
        """How long a vector is."""

    def __len__(self) -> int:
        return self._index.ntotal

    def nearest(self, query: Floats, count: int, may: Bits, everywhere: bool = False) -> tuple[Rows, Floats]:
        """The rows nearest to `query` (d,) that `may` has, at most `count`, nearest first, and their inner products.

        With `everywhere` every cell is visited, and none of the nearest is missed.
        """
        wanted = self._faiss.IDSelectorBitmap(may)
        params = self._faiss.SearchParametersIVF(sel=wanted, nprobe=self._index.nlist if everywhere else self._index.nprobe)
        filled = np.zeros((1, self._index.d), dtype=np.float32)
        filled[0, : self.width] = query
        scores, rows = self._index.search(filled, min(count, len(self)), params=params)
        found = rows[0] >= 0
        return rows[0][found], scores[0][found]


def _filled(vectors: Floats) -> Floats:
    """Vectors (n, d) with zeros behind them up to a length at which many numbers are compared at once; their products stay what they are."""
    return np.pad(vectors, ((0, 0), (0, -vectors.shape[1] % _LANES)))


def _as_queries_lie(queries: Floats) -> tuple[Floats, Floats]:
    """What vectors are multiplied with so that their distances tell how much their products with queries (q, d) differ, and its inverse transposed: (d, d).

    A difference e between two vectors is worth (query · e)² to who asks, in the mean e'Ce with C the second moment of queries, so it is the square
    root of that. Where people ask alike, cells are thin in that direction, and few have to be visited: what anisotropic quantisation
    (Guo et al. 2020) does for codes. Were there no part that is the same in all directions, they would be thin in no other.
    """
    spread, axes = np.linalg.eigh(queries.T.astype(np.float64) @ queries / len(queries))
    mean = float(spread.mean())
    scale = np.sqrt(spread.clip(0.0) + _RIDGE * mean) if mean > 0 else np.ones_like(spread)
    return (axes * scale).astype(np.float32), (axes / scale).astype(np.float32)


def _visited(index: Any, probes: Floats, nearest: Rows, wanted: float) -> tuple[int, float]:
    """The fewest cells with which the probes find what is wanted, by halving what is left, and the recall that this gives."""

    def shares(visited: int) -> NDArray[np.float64]:
        index.nprobe = visited
        found = index.search(probes, nearest.shape[1])[1]
        return np.array([np.isin(one, other, assume_unique=True).mean() for one, other in zip(nearest, found, strict=True)])

    def enough(visited: int) -> bool:
        got = shares(visited)
        return bool(got.mean() - _SURE * got.std() / np.sqrt(len(got)) >= wanted)

    low, high = 0, 1
    while high < index.nlist and not enough(high):
        low, high = high, min(2 * high, index.nlist)
    while high - low > max(1, low // 16):  # a few cells more or less make no difference
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high, float(shares(high).mean())


def _faiss() -> Any:  # whose stubs do not know what Python may hand it
    import faiss  # loaded where there is something to look for

    faiss.omp_set_num_threads(1)  # a process has one core
    return faiss

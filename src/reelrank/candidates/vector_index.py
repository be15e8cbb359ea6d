"""VectorIndex: the rows whose vectors have the largest inner products with a query, exactly while there are few, nearly beyond."""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows
from reelrank.domain.user import no_rows

Vectors = NDArray[np.float32]  # (n, d)

_EXACT_UP_TO = 50_000  # vectors: comparing them all takes about a millisecond
_RECALL = 0.95  # of the hundred nearest, that a search among many must find
_PROBES = 64  # vectors of its own that an index tries that on
_NEAREST = 100
_PER_CELL = 64  # vectors of each cell that its centre is learned from: more makes it hardly better


class VectorIndex:
    """Vectors by dense row. Safe to use from several threads.

    Up to `exact_up_to` vectors every one is compared. Beyond, they lie in cells (inverted lists), of which a search
    visits as many as it takes to find `_RECALL` of what is nearest, tried on vectors of its own when it is built.
    """

    def __init__(self, width: int, exact_up_to: int = _EXACT_UP_TO) -> None:
        import faiss  # loaded where there is something to look for

        faiss.omp_set_num_threads(1)  # a worker process has one core
        self.width = width
        self._faiss: Any = faiss  # whose stubs do not know what Python may hand it
        self._exact_up_to = exact_up_to
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(width))
        self._cells: Any = None  # the same index, once it has cells
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._index.ntotal

    @property
    def exact(self) -> bool:
        """Whether every vector is compared."""
        return self._cells is None

    def put(self, rows: Rows, vectors: Vectors) -> None:
        """Adds vectors (n, width), each row once; those of rows that are there already are replaced."""
        if vectors.shape != (len(rows), self.width):
            raise ValueError(f"vectors have the shape {vectors.shape}; {len(rows)} rows of an index of width {self.width} need ({len(rows)}, {self.width})")
        with self._lock:
            self._index.remove_ids(rows)
            self._index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), rows)
            if self._cells is None and len(self) > self._exact_up_to:
                self._into_cells()

    def remove(self, rows: Rows) -> None:
        """Takes rows out; those that are not there are none the worse for it."""
        with self._lock:
            self._index.remove_ids(rows)

    def nearest(self, query: NDArray[np.float32], count: int, without: Rows) -> tuple[Rows, NDArray[np.float32]]:
        """The `count` rows nearest to `query` (width,) that are not among `without`, nearest first, and their inner products: (k,) twice."""
        if len(self) == 0 or count == 0:
            return no_rows(), np.empty(0, dtype=np.float32)
        with self._lock:
            wanted = self._faiss.IDSelectorNot(self._faiss.IDSelectorBatch(without))
            scores, rows = self._index.search(query[None], min(count, len(self)), params=self._params(wanted))
        found = rows[0] >= 0
        return rows[0][found], scores[0][found]

    def _params(self, wanted: Any) -> Any:
        if self._cells is None:
            return self._faiss.SearchParameters(sel=wanted)
        return self._faiss.SearchParametersIVF(sel=wanted, nprobe=self._cells.nprobe)

    def _into_cells(self) -> None:
        flat = self._index
        vectors: Vectors = flat.index.reconstruct_n(0, flat.ntotal)
        rows: Rows = self._faiss.vector_to_array(flat.id_map)
        count = int(4 * np.sqrt(len(rows)))
        cells = self._faiss.IndexIVFFlat(self._faiss.IndexFlatIP(self.width), self.width, count, self._faiss.METRIC_INNER_PRODUCT)
        cells.cp.min_points_per_centroid, cells.cp.max_points_per_centroid = 1, _PER_CELL
        cells.train(vectors)
        cells.add_with_ids(vectors, rows)
        probes = vectors[:: max(1, len(vectors) // _PROBES)]
        nearest = flat.search(probes, _NEAREST)[1]
        while cells.nprobe < count and _shared(cells.search(probes, _NEAREST)[1], nearest) < _RECALL:
            cells.nprobe *= 2
        self._index = self._cells = cells


def _shared(found: Rows, wanted: Rows) -> float:
    """The mean share of `wanted` (n, k) that is in `found` (n, k)."""
    return float(np.mean([len(np.intersect1d(*pair)) / len(pair[1]) for pair in zip(found, wanted, strict=True)]))

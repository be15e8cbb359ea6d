"""The edges of a sparse matrix: how many rows and columns there are, and whose each edge is."""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


def size(edges: csr_array) -> tuple[int, int]:
    """Rows and columns."""
    rows, columns = cast(tuple[int, int], edges.shape)
    return int(rows), int(columns)


def owners(edges: csr_array) -> NDArray[np.int64]:
    """The row of each edge, in the order in which they lie: (edges,)."""
    return np.repeat(np.arange(len(edges.indptr) - 1), np.diff(edges.indptr))


def canonical(edges: object) -> csr_array:
    """What a product or sum of sparse matrices gave, by rows, in single precision, without zeros."""
    by_rows = csr_array(edges, dtype=np.float32)
    by_rows.eliminate_zeros()
    return by_rows

"""Spans of a long array, as lists of different lengths lie in it: which places they cover."""

import numpy as np

from reelrank.domain.arrays import Rows


def covered(start: Rows, end: Rows) -> tuple[Rows, Rows]:
    """All places of the n spans [start[i], end[i]), one span after the other, and how many each has: (places,) and (n,)."""
    sizes = end - start
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(start - ends + sizes, sizes), sizes

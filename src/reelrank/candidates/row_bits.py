"""Sets of rows as one bit each, the lowest bit of a byte first: what a search may find."""

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows

Bits = NDArray[np.uint8]


def every(count: int) -> Bits:
    """The rows below `count`, and up to seven more."""
    return np.full(-(-count // 8), 255, dtype=np.uint8)


def bits_of(flags: NDArray[np.bool_]) -> Bits:
    """The rows (n,) that are flagged, and up to seven behind them."""
    room = np.ones(-(-len(flags) // 8) * 8, dtype=np.bool_)
    room[: len(flags)] = flags
    return np.packbits(room, bitorder="little")


def clear(bits: Bits, rows: Rows) -> None:
    """Takes rows out, those that there is no bit for aside. A tenth of what a hash set of the same rows costs."""
    rows = rows[rows < 8 * len(bits)]
    np.bitwise_and.at(bits, rows >> 3, ~(np.uint8(1) << (rows & 7).astype(np.uint8)))


def flags_of(bits: Bits, rows: Rows) -> NDArray[np.bool_]:
    """Which rows (n,) are in; those that there is no bit for are."""
    within = rows < 8 * len(bits)
    flags = np.ones(len(rows), dtype=np.bool_)
    flags[within] = (bits[rows[within] >> 3] >> (rows[within] & 7).astype(np.uint8)) & 1
    return flags


def flags_between(bits: Bits, first: int, end: int) -> NDArray[np.bool_]:
    """The flags of the rows in [first, end), of those that there are bits for: (at most end - first,)."""
    start, shift = divmod(first, 8)
    return np.unpackbits(bits[start : -(-end // 8)], bitorder="little")[shift : shift + end - first].astype(np.bool_)

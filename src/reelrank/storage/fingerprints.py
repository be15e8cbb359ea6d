"""Fingerprints of what was folded lately, in aligned blocks: what a commit writes, and what falls out of the window.

A partition is folded without gaps, from offset 0 on: which blocks there are follows from the offset alone.
"""

from collections.abc import Iterator
from typing import NamedTuple

from reelrank.storage.online_store import FINGERPRINT_BYTES


class Piece(NamedTuple):
    """What goes into block `block` from byte `at` on."""

    block: int
    at: int
    data: bytes


class FingerprintBlocks:
    """Blocks of `size` offsets that hold at least the last `window` of a partition."""

    def __init__(self, size: int, window: int) -> None:
        self.size = size
        self.window = window

    def kept(self, folded_to: int) -> range:
        """The blocks there are when a partition is folded up to `folded_to`."""
        return range(max(0, folded_to - self.window) // self.size, -(-folded_to // self.size))

    def pieces(self, folded_from: int, folded_to: int, fingerprints: bytes) -> Iterator[Piece]:
        """What a commit writes, block by block."""
        for block in self.kept(folded_to):
            start, end = max(folded_from, block * self.size), min(folded_to, (block + 1) * self.size)
            if start < end:
                data = fingerprints[(start - folded_from) * FINGERPRINT_BYTES : (end - folded_from) * FINGERPRINT_BYTES]
                yield Piece(block, (start - block * self.size) * FINGERPRINT_BYTES, data)

    def outdated(self, folded_from: int, folded_to: int) -> range:
        """The blocks that were there at `folded_from` and lie wholly before the window at `folded_to`."""
        before = self.kept(folded_from)
        return range(before.start, min(before.stop, self.kept(folded_to).start))


def check_commit(partition: int, folded_from: int, folded_to: int, fingerprints: bytes) -> None:
    """Raises ValueError when a commit does not bring one fingerprint for each of its offsets."""
    if folded_to < folded_from or len(fingerprints) != (folded_to - folded_from) * FINGERPRINT_BYTES:
        raise ValueError(
            f"partition {partition} is folded from {folded_from} to {folded_to}, which wants {FINGERPRINT_BYTES} bytes of fingerprint per offset; "
            f"there are {len(fingerprints)} in all"
        )

"""Packed candidates: what all sources proposed for one request, in about two kilobytes, so that the request can be run again.

Sources read what this machine knew at that moment: boards that are ranked every few seconds, an index that grows while it
is read. Nobody can bring that back from the log; what they proposed can be kept.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.candidate import Candidates

_FAST = 1


def pack(candidates: Candidates) -> bytes:
    """The rows, and which sources proposed each; smallest where rows ascend."""
    steps = np.diff(candidates.rows.astype("<u4"), prepend=np.uint32(0))  # modulo 2^32
    return zlib.compress(_planes(steps) + _planes(candidates.sources.astype("<u4")), _FAST)


def unpack(packed: bytes, names: tuple[str, ...], models: dict[str, str]) -> Candidates:
    """What `pack` was given, by sources of these names and versions. Raises ValueError if it is something else."""
    try:
        planes = np.frombuffer(zlib.decompress(packed), dtype=np.uint8)
    except zlib.error as problem:
        raise ValueError(f"packed candidates can't be read: {problem}") from problem
    if len(planes) % 8:
        raise ValueError(f"packed candidates have {len(planes)} bytes, which is no multiple of 8")
    numbers = [np.ascontiguousarray(half.reshape(4, -1).T).view("<u4").ravel() for half in np.split(planes, 2)]
    return Candidates(
        rows=np.cumsum(numbers[0], dtype=np.uint32).astype(np.int64), sources=numbers[1].astype(np.uint32), source_names=names, models=dict(models)
    )


def _planes(numbers: NDArray[np.uint32]) -> bytes:
    """The lowest bytes of all, then the next ones: high bytes are mostly 0."""
    return numbers.view(np.uint8).reshape(-1, 4).T.tobytes()

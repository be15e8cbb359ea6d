"""The middle, the tail and the worst of what was measured many times."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def spread(values: Sequence[float] | NDArray[np.float64]) -> dict[str, float | None]:
    """The middle, the tail and the worst of some milliseconds."""
    if len(values) == 0:
        return {"p50": None, "p95": None, "p99": None, "max": None}
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2), "p99": round(float(p99), 2), "max": round(float(np.max(values)), 2)}

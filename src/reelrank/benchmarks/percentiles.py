"""The middle, the tail and the worst of what was measured many times."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def spread(values: Sequence[float] | NDArray[np.float64], digits: int = 2) -> dict[str, float | None]:
    """The middle, the tail and the worst of some milliseconds."""
    if len(values) == 0:
        return {"p50": None, "p95": None, "p99": None, "max": None}
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return {name: round(float(value), digits) for name, value in (("p50", p50), ("p95", p95), ("p99", p99), ("max", np.max(values)))}

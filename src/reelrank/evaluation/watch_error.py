"""How well predicted watch times fit and order what was watched: MAE and XAUC."""

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.floating]

_PAIRS = 1_000_000


def mean_error_s(watched_s: Seconds, predicted_s: Seconds) -> float:
    """The mean absolute error of (n,) predictions, in seconds; nan without any."""
    return float(np.abs(watched_s - predicted_s).mean()) if len(watched_s) else float("nan")


def xauc(watched_s: Seconds, predicted_s: Seconds, seed: int = 0) -> float:
    """The share of random pairs of different watch times that are predicted in their order (Zhan et al. 2022); a tie counts half.

    A million pairs are drawn by `seed`, with replacement. nan if no two differ.
    """
    if len(watched_s) == 0:
        return float("nan")
    one, other = np.random.default_rng(seed).integers(0, len(watched_s), (2, _PAIRS))
    differ = watched_s[one] != watched_s[other]
    one, other = one[differ], other[differ]
    right = np.sign(watched_s[one] - watched_s[other]) * np.sign(predicted_s[one] - predicted_s[other])
    return float((right.mean() + 1) / 2) if len(right) else float("nan")

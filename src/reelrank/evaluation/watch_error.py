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
    _, _, right = _pairs(watched_s, predicted_s, seed)
    return float(right.mean()) if len(right) else float("nan")


def xauc_shares(watched_s: Seconds, predicted_s: Seconds, seed: int = 0) -> NDArray[np.float64]:
    """What each row adds to the XAUC of the same pairs: (n,). Their mean is the XAUC, and to first order they vary as it does.

    The projection of Hoeffding (1948): a row counts by how its own pairs are ordered, twice, as each pair belongs to two
    rows. That few pairs of a row are drawn only widens intervals. All nan if no two watch times differ.
    """
    one, other, right = _pairs(watched_s, predicted_s, seed)
    rows = len(watched_s)
    if len(right) == 0:
        return np.full(rows, np.nan)
    mean = right.mean()
    above = sum(np.bincount(side, weights=right - mean, minlength=rows) for side in (one, other))
    return mean + above * rows / len(right)


def _pairs(watched_s: Seconds, predicted_s: Seconds, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Both rows of each pair that was drawn and differs, and whether they are predicted in their order: 1, 0, or ½ for a tie."""
    one, other = np.random.default_rng(seed).integers(0, max(len(watched_s), 1), (2, _PAIRS if len(watched_s) else 0))
    differ = watched_s[one] != watched_s[other]
    one, other = one[differ], other[differ]
    return one, other, (np.sign(watched_s[one] - watched_s[other]) * np.sign(predicted_s[one] - predicted_s[other]) + 1) / 2

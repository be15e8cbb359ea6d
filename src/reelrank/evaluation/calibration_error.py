"""Whether predicted chances come true as often as they say: the expected calibration error."""

import numpy as np

from reelrank.evaluation.prediction import Outcomes, Scores


def calibration_error(outcomes: Outcomes, chances: Scores, bins: int = 20) -> float:
    """Mean distance between what was predicted and how often it happened, over bins of equally many rows of rising chance (ECE).

    nan without rows.
    """
    if len(outcomes) == 0:
        return float("nan")
    order = np.argsort(chances, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [abs(float(chances[part].mean()) - float(outcomes[part].mean())) for part in parts]
    return float(np.average(gaps, weights=[len(part) for part in parts]))

"""Calibration: predicted chances that come true as often as they say, two numbers for each head (Platt 1999)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from reelrank.evaluation.prediction import Outcomes, Scores
from reelrank.training.examples import Examples, Floats

_FEWEST = 50  # outcomes of either kind, below which only the level is learned
_SCALES = (0.25, 2.0)  # a calibration corrects; logits that lie further off say next to nothing, and louder would still be nothing


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logit z becomes the chance sigmoid(scale * z + shift)."""

    scale: float
    shift: float


def fit(outcomes: Outcomes, logits: Scores) -> Calibration:
    """The scale, within bounds, and the shift under which `outcomes` (n,) are likeliest; with few of either kind the shift alone."""
    happened = outcomes.astype(np.float64)
    rare = min(happened.sum(), len(happened) - happened.sum())
    if rare == 0:
        return Calibration(1.0, 0.0)

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        scale, shift = (at[0], at[1]) if rare >= _FEWEST else (1.0, at[1])
        z = scale * logits + shift
        error = 1 / (1 + np.exp(-z)) - happened
        slope = (error * logits).mean() if rare >= _FEWEST else 0.0
        return float((np.logaddexp(0, z) - happened * z).mean()), np.array([slope, error.mean()])

    scale, shift = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[_SCALES, (None, None)]).x
    return Calibration(float(scale), float(shift))


def calibrate(heads: Sequence[str], examples: Examples, logits: Floats) -> dict[str, Calibration]:
    """A calibration for each of the heads whose logits (n, heads) are given, from what came of the examples."""
    found = {}
    for place, head in enumerate(heads):
        known = np.isfinite(examples.label(head))
        found[head] = fit(examples.label(head)[known] > 0, logits[known, place].astype(np.float64))
    return found

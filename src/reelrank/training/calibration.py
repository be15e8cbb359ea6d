"""Calibration: predicted chances that come true as often as they say, two numbers for each head (Platt 1999)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from reelrank.domain.arrays import Floats
from reelrank.evaluation.prediction import Outcomes, Scores
from reelrank.training.examples import Examples

_FEWEST = 50  # outcomes of either kind, below which only the level is learned
_SCALES = (0.25, 2.0)  # a calibration corrects; logits that lie further off say next to nothing, and louder would still be nothing


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logit z becomes the chance sigmoid(scale * z + shift)."""

    scale: float
    shift: float

    def of(self, logits: Scores) -> Scores:
        """Calibrated logits."""
        return self.scale * logits + self.shift


_AS_IT_IS = Calibration(1.0, 0.0)


def fit(outcomes: Outcomes, logits: Scores) -> Calibration:
    """The scale, within bounds, and the shift under which `outcomes` (n,) are likeliest; with few of either kind the shift alone."""
    rare = min(outcomes.sum(), (~outcomes).sum())
    if rare == 0:
        return _AS_IT_IS

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        scale, shift = (at[0], at[1]) if rare >= _FEWEST else (1.0, at[1])
        z = scale * logits + shift
        error = 1 / (1 + np.exp(-z)) - outcomes
        slope = (error * logits).mean() if rare >= _FEWEST else 0.0
        return _surprise(outcomes, z), np.array([slope, error.mean()])

    scale, shift = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[_SCALES, (None, None)]).x
    return Calibration(float(scale), float(shift))


def calibrate(heads: Sequence[str], examples: Examples, logits: Floats) -> dict[str, Calibration]:
    """A calibration for each of the heads whose logits (n, heads) are given, from what came of the examples.

    A head whose chances come true as they are keeps them: one learned from the earlier half has to make the later half likelier.
    """
    found = {}
    in_time = np.argsort(examples.served_at, kind="stable")
    for place, head in enumerate(heads):
        known = in_time[np.isfinite(examples.label(head)[in_time])]
        happened, said = examples.label(head)[known] > 0, logits[known, place].astype(np.float64)
        half = len(known) // 2
        earlier = fit(happened[:half], said[:half])
        helps = _surprise(happened[half:], earlier.of(said[half:])) < _surprise(happened[half:], said[half:])
        found[head] = fit(happened, said) if helps else _AS_IT_IS
    return found


def _surprise(happened: Outcomes, logits: Scores) -> float:
    """The log loss of logits (n,)."""
    return float(np.mean(np.logaddexp(0, logits) - happened * logits)) if len(logits) else 0.0

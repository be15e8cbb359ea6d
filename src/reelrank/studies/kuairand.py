"""`evaluate kuairand`: our ranker and its peers on a public log, each judged by what it said before the outcome was known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reelrank.training.examples import TrainingSet

HEADS = ("long_view", "click", "like")
VALIDATION_DAYS = 2

Mask = NDArray[np.bool_]
Predictions = dict[str, NDArray[np.floating]]  # head or "watch_s" -> (m,) for the test rows
FitPredict = Callable[[TrainingSet, Path, Mask, Mask, int], Predictions]  # set, folder of the log, train rows, test rows, seed

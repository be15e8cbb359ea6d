"""`evaluate kuairand`: our ranker and its peers on a public log, each judged by what it said before the outcome was known."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.evaluation.calibration_error import calibration_error
from reelrank.evaluation.prediction import auc, gauc, user_days
from reelrank.evaluation.watch_error import mean_error_s, xauc
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.models.sessions import RankerSession
from reelrank.simulation.kuairand import BEIJING, Exposures
from reelrank.studies.kuairand_examples import examples_of
from reelrank.training import calibration
from reelrank.training.examples import TrainingSet
from reelrank.training.export import export
from reelrank.training.score_examples import score_examples
from reelrank.training.train_ranker import OnProgress, train, refit

HEADS = ("long_view", "click", "like")
VALIDATION_DAYS = 2

Mask = NDArray[np.bool_]
Predictions = dict[str, NDArray[np.floating]]  # head or "watch_s" -> (m,) for the test rows
FitPredict = Callable[[TrainingSet, Path, Mask, Mask, int], Predictions]  # set, folder of the log, train rows, test rows, seed

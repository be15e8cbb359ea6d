"""Skew: features as they were served against what they should have been, compared bit by bit."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.features.definitions import COLUMN, FEATURES, WIDTH
from reelrank.features.point_in_time import Recomputed
from reelrank.features.served_slates import Slate

_EXAMPLES = 10

BEYOND = "(beyond the log)"  # in place of a feature: the slate had seen records that the log does not hold
CO_WATCH_GONE = "co_watch alone: the version of its model is not kept any more"


class Difference(NamedTuple):
    """One feature of one place of a slate that is not what the log says."""

    request_id: str
    user_id: str
    video_id: str
    feature: str
    served: float
    recomputed: float


@dataclass(slots=True)
class Skew:
    """What a comparison has found."""

    rows: int = 0  # feature vectors that were compared
    differences: int = 0  # of them that differ in any bit
    slates: int = 0
    by_feature: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)  # reason -> slates
    examples: list[Difference] = field(default_factory=list)  # the first few

    def compare(self, outcomes: Iterable[Recomputed | tuple[Slate, str]], on_progress: Callable[[int], None] = lambda _: None) -> None:
        """Goes through recomputed slates."""
        for outcome in outcomes:
            if isinstance(outcome, Recomputed):
                self._compare(outcome)
            else:
                self.skipped[outcome[1]] += 1
            on_progress(1)

    def unreachable(self, videos: int) -> None:
        """Counts a slate of so many videos that had seen more than the log holds: nothing in it can be what the log says."""
        self.slates += 1
        self.rows += videos
        self.differences += videos
        self.by_feature[BEYOND] += videos

    def _compare(self, one: Recomputed) -> None:
        widths = {len(shown.features) for shown in one.served.videos}
        if widths != {WIDTH}:
            self.skipped[f"it has {max(widths)} features, this release {WIDTH}"] += 1
            return
        served = np.array([shown.features for shown in one.served.videos], dtype=np.float32)
        differs = _bits(served) != _bits(one.features)  # (videos, F)
        if not one.co_watch_known:
            differs[:, COLUMN["co_watch"]] = False
            self.skipped[CO_WATCH_GONE] += 1
        self.slates += 1
        self.rows += len(served)
        self.differences += int(differs.any(axis=1).sum())
        for place, column in np.argwhere(differs).tolist():
            name = FEATURES[column].name
            self.by_feature[name] += 1
            if len(self.examples) < _EXAMPLES:
                was, should_be = float(served[place, column]), float(one.features[place, column])
                self.examples.append(Difference(one.served.request_id, one.served.user_id, one.served.videos[place].video_id, name, was, should_be))


def _bits(features: NDArray[np.float32]) -> NDArray[np.uint32]:
    return np.ascontiguousarray(features, dtype=np.float32).view(np.uint32)

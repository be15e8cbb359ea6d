"""Skew: features as they were served against what they should have been, compared bit by bit."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.params import FeedParams
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import COLUMN, FEATURES, WIDTH
from reelrank.features.point_in_time import CoWatchAt, OnProgress, PointInTime, Recomputed, ScratchStores, stored
from reelrank.features.served_slates import EVERY_SLATE, Chosen, Slate, beyond, find_slates
from reelrank.features.user_fold import StreamConfig
from reelrank.storage.event_log import EVENTS, EventLog

Task = Callable[[str, int], AbstractContextManager[OnProgress]]  # a name and how many steps, 0 = not known -> to be told of each

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

    def compare(self, outcomes: Iterable[Recomputed | tuple[Slate, str]], on_progress: OnProgress = lambda _: None) -> None:
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


@contextmanager
def _unseen(_name: str, _steps: int) -> Iterator[OnProgress]:
    yield lambda _done: None


def audit(
    log: EventLog,
    columns: VideoColumns,
    scratch: ScratchStores,
    co_watch: CoWatchAt,
    params: Mapping[str, FeedParams],  # by fingerprint: slates made with others are left out
    repeat_window: int,
    config: StreamConfig | None = None,
    chosen: Chosen = EVERY_SLATE,
    task: Task = _unseen,
) -> Skew:
    """Compares the chosen slates of a log, which may be growing, with what the log alone gives."""
    skew = Skew()
    with task("looking for slates", sum(log.end(EVENTS, partition) for partition in range(log.partitions))) as on_progress:
        found = find_slates(log, chosen, params, scratch.spool, on_progress)
    columns.refresh()  # the catalogue has whatever the log had when it was read
    skew.skipped.update(found.left_out)
    slates: list[Slate] = []
    for slate in found.slates:
        if beyond(slate, found.ends):
            skew.unreachable(len(stored(scratch.spool, slate).videos))
        else:
            slates.append(slate)
    if slates:
        past = PointInTime(log, columns, scratch, co_watch, params, repeat_window, config)
        with task("folding the log again", 0) as on_progress:
            past.fold_users(slates, on_progress)
        with task("comparing slates", len(slates)) as on_progress:
            skew.compare(past.recomputed(slates), on_progress)
    return skew


def _bits(features: NDArray[np.float32]) -> NDArray[np.uint32]:
    return np.ascontiguousarray(features, dtype=np.float32).view(np.uint32)

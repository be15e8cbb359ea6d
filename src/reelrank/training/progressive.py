"""Progressive validation: every example is predicted before it is learned from, and what came of that is kept by the hour."""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Floats

HOUR_S = 3_600.0
_BINS = 512  # of the logit, from -_EDGE to _EDGE: areas to about a thousandth
_EDGE = 10.0


class Hour(msgspec.Struct):
    """What was predicted in an hour, of one head."""

    happened: dict[int, int] = {}  # bin of the logit -> how often it happened
    did_not: dict[int, int] = {}
    loss: float = 0.0  # summed, nats


class Measured(NamedTuple):
    """How well one head did in an hour."""

    hour: int  # since 1970
    examples: int
    rate: float  # of what happened
    auc: float  # nan where only one of both occurred
    log_loss: float


class Progressive:
    """The last hours of each head. What it holds is plain, so that a checkpoint can keep it."""

    def __init__(self, keep_hours: int = 48, hours: dict[str, dict[int, Hour]] | None = None) -> None:
        self.hours = hours if hours is not None else {}  # head -> hour -> what was predicted in it
        self._keep = keep_hours

    def note(self, heads: tuple[str, ...], known_at: NDArray[np.float64], logits: Floats, labels: Floats) -> None:
        """Predictions (n, heads) that were made before `labels` (n, heads), nan unknown, were learned from."""
        hours = (known_at // HOUR_S).astype(np.int64)
        bins = np.clip((logits + _EDGE) * (_BINS / (2 * _EDGE)), 0, _BINS - 1).astype(np.int64)
        losses = np.logaddexp(0, np.where(labels > 0, -logits, logits))
        for place, head in enumerate(heads):
            of_head = self.hours.setdefault(head, {})
            known = ~np.isnan(labels[:, place])
            for hour in np.unique(hours[known]).tolist():
                which = known & (hours == hour)
                into = of_head.setdefault(hour, Hour())
                into.loss += float(losses[which, place].sum())
                for counts, happened in ((into.happened, True), (into.did_not, False)):
                    for found, times in zip(*np.unique(bins[which & ((labels[:, place] > 0) == happened), place], return_counts=True), strict=True):
                        counts[int(found)] = counts.get(int(found), 0) + int(times)
            for old in sorted(of_head)[: -self._keep]:
                del of_head[old]

    def measured(self, head: str) -> list[Measured]:
        """Each kept hour, the oldest first."""
        return [_measured(hour, kept) for hour, kept in sorted(self.hours.get(head, {}).items())]

    def lately(self, head: str) -> Measured | None:
        """All kept hours together, under the newest one; None if there is nothing."""
        hours = self.hours.get(head, {})
        if not hours:
            return None
        total = Hour()
        for hour in hours.values():
            total.loss += hour.loss
            for counts, more in ((total.happened, hour.happened), (total.did_not, hour.did_not)):
                for found, times in more.items():
                    counts[found] = counts.get(found, 0) + times
        return _measured(max(hours), total)


def _measured(hour: int, kept: Hour) -> Measured:
    happened, did_not = _counts(kept.happened), _counts(kept.did_not)
    positives, negatives = happened.sum(), did_not.sum()
    below = np.cumsum(did_not) - did_not / 2  # negatives of the same bin count half
    area = float(happened @ below / (positives * negatives)) if positives and negatives else float("nan")
    total = int(positives + negatives)
    return Measured(hour, total, float(positives / total), area, kept.loss / total)


def _counts(of_bins: dict[int, int]) -> NDArray[np.float64]:
    counts = np.zeros(_BINS)
    counts[list(of_bins)] = list(of_bins.values())
    return counts

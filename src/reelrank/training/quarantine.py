"""Quarantine: examples that nobody should learn from are counted and written down with the reason."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from reelrank.domain.example import Example
from reelrank.features.definitions import FEATURES_VERSION

OTHER_FEATURES, NOT_FINITE, IMPOSSIBLE, FLOOD, EXPLODED = "other_features", "not_finite", "impossible", "flood", "exploded"
_LONGEST_FILE_BYTES = 16 << 20


class QuarantineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is let through."""

    window_s: Annotated[float, Meta(gt=0)] = 3_600.0  # of event time
    most_per_user: Annotated[int, Meta(ge=1)] = 500  # outcomes of one user in a window that are learned from: nobody watches a video every 7 s for an hour
    longest_watch_s: Annotated[float, Meta(gt=0)] = 86_400.0  # who has watched longer has a broken clock


class QuarantineState(msgspec.Struct):
    """What the next decision hangs on, to be kept with the offsets."""

    window: int = -1  # number of the newest window
    of_user: dict[str, int] = {}  # outcomes let through in it
    counts: dict[str, int] = {}  # reason -> examples


class Quarantine:
    """Decides on each example by what came before it in the log, and by nothing else: the same again gives the same."""

    def __init__(self, config: QuarantineConfig, state: QuarantineState | None = None, file: Path | None = None) -> None:
        self.state = state or QuarantineState()
        self._config = config
        self._file = file

    def sound(self, records: Sequence[Example]) -> list[Example]:
        """Those that may be learned from."""
        reasons = [self._reason(record) for record in records]
        self.put(reason_of := {place: reason for place, reason in enumerate(reasons) if reason}, records)
        return [record for place, record in enumerate(records) if place not in reason_of]

    def put(self, reasons: dict[int, str], records: Sequence[Example]) -> None:
        """Counts those at the given places, and writes them down."""
        if not reasons:
            return
        counts = Counter(self.state.counts) + Counter(reason.partition(":")[0] for reason in reasons.values())
        self.state.counts = dict(counts)
        if self._file is None:
            return
        lines = [_Letter(reason, *_named(records[place])) for place, reason in reasons.items()]
        if self._file.exists() and self._file.stat().st_size > _LONGEST_FILE_BYTES:
            self._file.replace(self._file.with_suffix(".old.jsonl"))
        with self._file.open("ab") as file:
            file.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))

    def _reason(self, record: Example) -> str:
        """Why nobody should learn from it; empty if there is no reason."""
        assert record.slate is not None and record.place is not None
        if record.place.features_version != FEATURES_VERSION:
            return OTHER_FEATURES
        if not np.isfinite(np.frombuffer(record.place.features, dtype="<f4")).all() or not math.isfinite(record.impression_at):
            return NOT_FINITE
        watched_s = record.labels.watched_s
        if watched_s is not None and not 0 <= watched_s <= self._config.longest_watch_s:
            return NOT_FINITE if not math.isfinite(watched_s) else f"{IMPOSSIBLE}: watched for {watched_s:.0f} s"
        return self._flood(record.slate.user_id, record.impression_at)

    def _flood(self, user_id: str, at: float) -> str:
        state, window = self.state, int(at // self._config.window_s)
        if window > state.window:  # what comes late counts in the newest one
            state.window, state.of_user = window, {}
        count = state.of_user[user_id] = state.of_user.get(user_id, 0) + 1
        return f"{FLOOD}: outcome {count} of this user within {self._config.window_s:.0f} s" if count > self._config.most_per_user else ""


class _Letter(msgspec.Struct, frozen=True):
    reason: str
    kind: str
    example_id: str
    user_id: str
    video_id: str
    impression_at: float


def _named(record: Example) -> tuple[str, str, str, str, float]:
    assert record.slate is not None and record.place is not None
    return record.kind, record.example_id, record.slate.user_id, record.place.video_id, record.impression_at

"""The features of served slates against what the log alone gives: of a deployment, or of a day of a real log."""

import tempfile
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from reelrank.candidates import co_watched
from reelrank.candidates.co_watched import CoWatches
from reelrank.config import Settings
from reelrank.domain.arrays import Rows
from reelrank.domain.clock import ManualClock
from reelrank.domain.params import FeedParams, fingerprint
from reelrank.domain.user import User
from reelrank.features.point_in_time import CoWatchAt
from reelrank.features.served_slates import EVERY_SLATE, Chosen
from reelrank.features.skew import Skew, audit
from reelrank.simulation.demo import Progress
from reelrank.simulation.kuairand import DataError, Exposures, KuaiRand
from reelrank.simulation.replay import Prequential
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.event_log import StorageError
from reelrank.storage.quick_folder import quick_folder
from reelrank.wiring import Reelrank, scratch_reelrank, scratch_stores

FEEDS = 300  # asked for during a replayed day
COUNT = 10  # videos in each of them
_MODELS = 4  # held in memory at a time


def audit_deployment(system: Reelrank, progress: Progress, chosen: Chosen = EVERY_SLATE, scratch: str | None = None) -> Skew:
    """Compares the slates in the log of a system, which may be running; `scratch` names a folder for what this needs on the way."""
    settings = system.settings
    with (
        tempfile.TemporaryDirectory(prefix="reelrank-audit-", dir=scratch, ignore_cleanup_errors=True) as folder,
        scratch_stores(settings, Path(folder)) as own,
    ):
        window, params, co_watch = settings.storage.repeat_window, known_params(settings.params), co_watch_at(system.artifacts)
        return audit(system.log, system.columns, own, co_watch, params, window, settings.stream, chosen, progress.task)


def audit_day(data: KuaiRand, exposures: Exposures, day: int, progress: Progress, feeds: int = FEEDS, histories: int | None = None) -> Skew:
    """Replays a log up to and including `day` through a deployment of its own, and compares the slates of that day.

    Those are one for each exposure, scored as it was shown, and `feeds` that are asked for in between. With `histories`
    only so many users, those seen last, have a past.
    """
    of_day = np.flatnonzero(exposures.days == day)
    if len(of_day) == 0:
        before = f"it has {exposures.days.min()} to {exposures.days.max()}" if len(exposures) else "it has none"
        raise DataError(f"the log shows nothing on {day}; of the days up to then {before}")
    first = int(of_day[0])
    ask_at = np.unique(np.linspace(first, len(exposures) - 1, min(feeds, len(of_day))).astype(np.int64))
    clock = ManualClock()
    with scratch_reelrank(clock, Settings()) as system:
        replay = Prequential(system, clock)
        with progress.task("what users did before the log", 0):
            replay.begin(data, histories)
        with progress.task(f"replaying the log up to {day}", len(exposures)) as on_progress:
            replay.run(exposures, ask_at.tolist(), COUNT, on_progress=on_progress, predict_from=first)
        system.feed.flush()
        return audit_deployment(system, progress, Chosen(since=float(exposures.shown_ms[first]) / 1000), scratch=quick_folder())


def known_params(params: FeedParams) -> dict[str, FeedParams]:
    """By fingerprint, the params that slates of a deployment are made with: the configured ones, and the same for who asked not to be explored with."""
    return {fingerprint(one): one for one in (params, msgspec.structs.replace(params, exploration=0.0))}


def co_watch_at(artifacts: ArtifactStore) -> CoWatchAt:
    """Computes co_watch with the version of the model that a slate names, as long as that version is kept."""

    @lru_cache(_MODELS)
    def model(version: str) -> CoWatches | None:
        artifact = artifacts.version(co_watched.ITEM_TO_ITEM, version)
        if artifact is None:
            return None
        try:
            artifacts.verify(artifact)
            return CoWatches.load(artifact.folder)
        except (StorageError, OSError):
            if version in artifacts.versions(co_watched.ITEM_TO_ITEM):
                raise
            return None  # newer ones have pushed it out while it was read

    def strengths(models: Mapping[str, str], user: User, rows: Rows) -> NDArray[np.float64] | None:
        version = models.get(co_watched.ITEM_TO_ITEM)
        if version is None:
            return np.zeros(len(rows))
        found = model(version)
        return None if found is None else co_watched.strength(found, user, rows)

    return strengths


def as_numbers(skew: Skew, began: float) -> dict[str, object]:
    """What is told of a comparison that began at `began` (`time.perf_counter` seconds)."""
    return {
        "rows": skew.rows,
        "differences": skew.differences,
        "by_feature": dict(skew.by_feature.most_common()),
        "slates": skew.slates,
        "skipped": dict(skew.skipped.most_common()),
        "seconds": round(time.perf_counter() - began, 3),
    }

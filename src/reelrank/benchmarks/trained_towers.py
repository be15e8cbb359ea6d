"""Towers that the product's own trainer has learned, and as many vectors as wanted that lie as theirs do."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reelrank.domain.arrays import Floats, Rows
from reelrank.domain.candidate import HEADS
from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Event
from reelrank.domain.video import Video
from reelrank.features.definitions import WIDTH
from reelrank.features.tokens import deeds_of, tokens_of
from reelrank.simulation.kuairand import KuaiRand, events_in_order
from reelrank.simulation.past import past_events
from reelrank.simulation.replay import Prequential
from reelrank.simulation.world import World
from reelrank.training.examples import Examples, TrainingSet, Traits
from reelrank.training.export_two_tower import export
from reelrank.training.later_watches import judged_from
from reelrank.training.train_two_tower import TwoTowerTraining, train, user_vectors, video_vectors
from reelrank.wiring import scratch_reelrank

_EXPOSURES = 40_000  # the last of the real log: histories of before are given whole
_VIDEOS, _EVENTS_EACH = 4_000, 30  # of a world that is made up where there is no log
_SAMPLE = 512  # vectors whose neighbours are looked at, and queries that a contrast is taken from


class TrainedTowers(NamedTuple):
    """One training: its artifact lies in `folder`, and `videos` are the catalogue in the order of their rows."""

    folder: Path
    source: str
    videos: list[Video]
    video_vectors: Floats  # (m, d)
    user_vectors: Floats  # (u, d) one for each user who watched something
    recall_at_100: float  # of what users watched long after the moment that it was learned up to
    seconds: float


def train_towers(folder: Path, users: int, epochs: int, seed: int, on_progress: Callable[[int], None] = lambda _: None) -> TrainedTowers:
    """Trains on KuaiRand where $REELRANK_DATA has it, or else on a generated world; the users who were there last, through log, stream and store."""
    clock = ManualClock()
    source, videos, events = _real_past(users) or _generated_past(users, seed)
    with scratch_reelrank(clock) as system:
        clock.advance_to(max(event.occurred_at or 0.0 for event in events))
        system.catalog.publish(videos)
        system.columns.refresh()
        Prequential(system, clock).see(events)
        user_ids = np.array(sorted(user_id for user_id, _ in system.store.scan_users()), dtype=np.str_)
        tokens = tokens_of(deeds_of(system.reader.users(user_ids.tolist())), system.columns.duration_s)
        seen = TrainingSet(_no_examples(), tokens, Traits.of(system.columns), user_ids)
    began = time.perf_counter()
    training = TwoTowerTraining(epochs=epochs, evaluate_every=epochs, seed=seed)
    towers, recall = train(seen, judged_from(tokens), training=training, on_progress=on_progress)
    export(towers, training.window, folder)
    watched = np.flatnonzero(np.diff(tokens.start))
    who = user_vectors(towers, tokens, watched, tokens.start[watched + 1], training.window)
    return TrainedTowers(folder, source, videos, video_vectors(towers), who, recall, time.perf_counter() - began)


class Noise(NamedTuple):
    """How vectors are made more of: each is one that was learned, pushed as far in some direction as its kind lie apart."""

    distance: float  # root mean square distance of a learned vector to its nearest neighbour
    norm: float  # what vectors are scaled back to; 0 leaves them as they come

    @classmethod
    def of(cls, learned: Floats) -> "Noise":
        """As far apart as `learned` (n, d) lie from each other, on a sphere if they all lie on one."""
        some = learned[: _SAMPLE * 8]
        squares = (some**2).sum(axis=1)
        apart = squares[:, None] + squares - 2 * some @ some.T
        np.fill_diagonal(apart, np.inf)
        norms = np.sqrt(squares)
        on_a_sphere = float(norms.std()) < 1e-3 * float(norms.mean())
        return cls(float(np.sqrt(np.maximum(apart.min(axis=1), 0).mean())), float(norms.mean()) if on_a_sphere else 0.0)

    def resampled(self, learned: Floats, count: int, rng: np.random.Generator) -> Floats:
        """So many vectors (count, d), drawn with replacement and pushed."""
        width = learned.shape[1]
        drawn = learned[rng.integers(0, len(learned), count)]
        drawn = drawn + rng.standard_normal((count, width), dtype=np.float32) * np.float32(self.distance / np.sqrt(width))
        if self.norm:
            drawn *= np.float32(self.norm) / np.linalg.norm(drawn, axis=1, keepdims=True)
        return np.ascontiguousarray(drawn, dtype=np.float32)


def relative_contrast(queries: Floats, vectors: Floats) -> float:
    """Mean distance over mean distance to the nearest (He, Kumar & Chang 2012): near 1 nothing is nearer than anything else. Distances are Euclidean."""
    some = queries[:_SAMPLE]
    squares = (some**2).sum(axis=1)[:, None] + (vectors**2).sum(axis=1) - 2 * some @ vectors.T
    apart = np.sqrt(np.maximum(squares, 0))
    return float(apart.mean() / max(float(apart.min(axis=1).mean()), 1e-12))


def _real_past(users: int) -> tuple[str, list[Video], list[Event]] | None:
    folder = Path(os.environ.get("REELRANK_DATA", "")) / "kuairand-pure"
    if not folder.is_dir():
        return None
    data = KuaiRand(folder)
    return "kuairand-pure", data.videos(), [*data.histories()[-users:], *events_in_order(data.exposures(last=_EXPOSURES))]


def _generated_past(users: int, seed: int) -> tuple[str, list[Video], list[Event]]:
    now = time.time()
    world = World.from_seed(seed, videos=_VIDEOS, users=users, authors=_VIDEOS // 5, now=now)
    return "generated", list(world.videos), list(past_events(world, np.random.default_rng(seed), now, events=_EVENTS_EACH * users))


def _no_examples() -> Examples:
    """Towers learn from histories alone."""
    none, times = np.empty(0, dtype=np.int64), np.empty(0)
    labels, watched_s = np.empty((0, len(HEADS)), dtype=np.float32), np.empty(0, dtype=np.float32)
    return Examples(none, none, times, times, none, none, np.empty((0, WIDTH), dtype=np.float32), labels, watched_s)


__all__ = ["Noise", "Rows", "TrainedTowers", "relative_contrast", "train_towers"]

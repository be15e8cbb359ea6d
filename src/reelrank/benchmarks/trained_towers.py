"""Towers that the product's own trainer has learned, and as many vectors as wanted that lie as theirs do."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
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
_AROUND = 32  # nearest learned vectors that are a vector's surroundings
_NEIGHBOURS = 20  # that an intrinsic dimension is read from
_SAMPLE = 256  # vectors that distances are taken from at a time
_AT_A_TIME = 10_000  # vectors that are made at once


class TrainedTowers(NamedTuple):
    """One training: its artifact lies in `folder`, and `videos` are the catalogue in the order of their rows."""

    folder: Path
    source: str
    videos: list[Video]
    video_vectors: Floats  # (m, d)
    user_vectors: Floats  # (u, d) one for each user who watched something
    watched: list[Rows]  # (u) which videos each of them watched, in order
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
    took_s = time.perf_counter() - began
    return TrainedTowers(
        folder, source, videos, video_vectors(towers), who, [tokens.video[slice(*tokens.start[user : user + 2])] for user in watched], recall, took_s
    )


@dataclass(frozen=True, slots=True)
class Resampling:
    """Makes as many vectors as wanted that lie as learned ones do: each is one of them, pushed as far as they lie from their nearest neighbours.

    The push is a random mixture of the ways from the middle of its surroundings to each vector in them, as learned
    vectors fill few of the directions that there are: the same push in any direction would make a set that no search
    could find its way in, and that no network learned.
    """

    learned: Floats  # (n, d)
    distance: float  # root mean square distance of one to its nearest neighbour
    length: float  # what vectors are scaled back to; 0 leaves them as they come

    @classmethod
    def of(cls, learned: Floats) -> "Resampling":
        """As far apart as `learned` (n, d) lie, and on a sphere if they do."""
        squares = _squares(learned[: 8 * _SAMPLE], learned)
        nearest = np.partition(squares, 1, axis=1)[:, 1]  # 0 is each itself
        lengths = np.linalg.norm(learned, axis=1)
        on_a_sphere = float(lengths.std()) < 1e-3 * float(lengths.mean())
        return cls(learned, float(np.sqrt(nearest.mean())), float(lengths.mean()) if on_a_sphere else 0.0)

    def more(self, of: Floats, count: int, rng: np.random.Generator, on_progress: Callable[[int], None] = lambda _: None) -> Floats:
        """So many vectors (count, d), each drawn from `of` (m, d) with replacement and pushed."""
        return self.beside(of, rng.integers(0, len(of), count), rng, on_progress)

    def beside(self, of: Floats, which: Rows, rng: np.random.Generator, on_progress: Callable[[int], None] = lambda _: None) -> Floats:
        """A vector for each of `which` (n,), places in `of` (m, d), pushed away from it: (n, d)."""
        around = self._surroundings(of)
        made = np.empty((len(which), of.shape[1]), dtype=np.float32)
        for start in range(0, len(which), _AT_A_TIME):
            drawn = which[start : start + _AT_A_TIME]
            near = self.learned[around[drawn]]  # (b, _AROUND, d)
            near -= near.mean(axis=1, keepdims=True)
            push = np.einsum("bk,bkd->bd", rng.standard_normal((len(drawn), near.shape[1]), dtype=np.float32), near)
            push *= np.float32(self.distance / np.sqrt(np.mean((push**2).sum(axis=1))))
            pushed = of[drawn] + push
            if self.length:
                pushed *= np.float32(self.length) / np.linalg.norm(pushed, axis=1, keepdims=True)
            made[start : start + len(drawn)] = pushed
            on_progress(len(drawn))
        return made

    def _surroundings(self, of: Floats) -> Rows:
        """The learned vectors nearest to each of `of` (m, d): (m, _AROUND)."""
        at_most = min(_AROUND, len(self.learned) - 1)
        blocks = (_squares(of[start : start + _SAMPLE], self.learned) for start in range(0, len(of), _SAMPLE))
        return np.concatenate([np.argpartition(block, at_most, axis=1)[:, :at_most] for block in blocks])


def relative_contrast(queries: Floats, vectors: Floats) -> float:
    """Mean distance over mean distance to the nearest (He, Kumar & Chang 2012): near 1 nothing is nearer than anything else."""
    apart = np.sqrt(_squares(queries[:_SAMPLE], vectors))
    return float(apart.mean() / max(float(apart.min(axis=1).mean()), 1e-12))


def intrinsic_dimension(vectors: Floats) -> float:
    """In how many directions vectors spread around one of them, by the distances of its nearest neighbours (Levina & Bickel 2004)."""
    apart = np.sqrt(np.partition(_squares(vectors[:_SAMPLE], vectors), np.arange(_NEIGHBOURS + 1), axis=1)[:, 1 : _NEIGHBOURS + 1])
    return float(1 / np.mean(np.log(apart[:, -1:] / np.maximum(apart[:, :-1], 1e-12))))


def _squares(some: Floats, others: Floats) -> Floats:
    """Squared Euclidean distances: (a, b)."""
    squares = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * some @ others.T
    return np.maximum(squares, 0)


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

"""Models of a large app, of the published shapes: what they say is made up, what it costs to ask them is not. Towers over many videos are learned."""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from reelrank.benchmarks.trained_towers import Resampling, train_towers
from reelrank.candidates.graph_neighbours import GRAPH
from reelrank.candidates.nearest import TWO_TOWER
from reelrank.domain.arrays import Floats, Rows
from reelrank.domain.candidate import HEADS
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import WIDTH
from reelrank.features.tokens import Tokens, deeds_of, tokens_of
from reelrank.models.graph_vectors import GraphShape, GraphVectors
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.models.two_tower import TwoTower, TwoTowerConfig, VideoFeatures
from reelrank.ranking.ranker_scorer import RANKER
from reelrank.training import train_ranker
from reelrank.training.examples import Examples, TrainingSet, Traits
from reelrank.training.export import export
from reelrank.training.export_two_tower import export as export_towers
from reelrank.wiring import Reelrank

_EXAMPLES = 20_000
_READERS = 300  # users whose histories decide which ids have rows
_TOWER_WINDOW = 50
_TOWER_USERS, _TOWER_EPOCHS = 4_000, 4  # of the training
_OWN = 0.3  # spread of what only one video has, beside what its kind has


class LearnedTowers(NamedTuple):
    """Towers over many videos: the user tower of a training, and videos that lie as the learned ones do, for how they lie decides what a search costs."""

    folder: Path  # the artifact
    beside: Rows  # (videos,) which learned video each lies beside; the first ones are these themselves
    watched: list[Rows]  # of each learned user, which learned videos


def learn_towers(folder: Path, videos: int, seed: int) -> LearnedTowers:
    """Trains towers and writes them into the empty `folder`, over as many `videos` as wanted."""
    learned = train_towers(folder, _TOWER_USERS, _TOWER_EPOCHS, seed)
    rng = np.random.default_rng(seed)
    own = min(len(learned.video_vectors), videos)
    beside = np.concatenate([np.arange(own), rng.integers(0, own, videos - own)])
    loud = float(np.linalg.norm(np.load(folder / "ids.npy"), axis=1).mean())
    for table in folder.glob("*.npy"):
        table.unlink()  # what they add lies in the vectors already
    vectors = np.concatenate([learned.video_vectors[:own], Resampling.of(learned.video_vectors).beside(learned.video_vectors, beside[own:], rng)])
    vectors *= np.float32(loud / float(np.linalg.norm(vectors[:_EXAMPLES], axis=1).mean()))  # as rows lie in the table: what is searched is scaled by itself
    np.save(folder / "ids.npy", vectors)
    np.save(folder / "known.npy", np.ones(videos, dtype=np.bool_))
    np.save(folder / "content.npy", np.zeros((0, vectors.shape[1]), dtype=np.float32))
    return LearnedTowers(folder, beside, learned.watched)


def publish_models(system: Reelrank, seed: int = 0, settings: RankerSettings | None = None, towers: LearnedTowers | None = None) -> None:
    """Publishes a ranker, two towers and graph vectors over the whole catalogue; towers that learned nothing where there are none."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    columns, now = system.columns, system.clock.now()
    user_ids = [user_id for user_id, _ in zip((user_id for user_id, _ in system.store.scan_users()), range(_READERS), strict=False)]
    tokens = tokens_of(deeds_of(system.reader.users(user_ids)), columns.duration_s)
    traits = Traits.of(columns)
    ranker = train_ranker.begin(TrainingSet(_examples(tokens, now, rng), tokens, traits, np.array(user_ids)), settings or RankerSettings())
    system.artifacts.publish(RANKER, now, lambda folder: export(ranker, {}, folder))
    system.artifacts.publish(TWO_TOWER, now, lambda folder: _write_untrained(folder, traits) if towers is None else _copy(towers.folder, folder))
    graph = _graph(columns, rng)
    system.artifacts.publish(GRAPH, now, graph.write)


def _examples(tokens: Tokens, now: float, rng: np.random.Generator) -> Examples:
    """Impressions of what was watched, with features and outcomes drawn at random."""
    chosen = np.sort(rng.choice(len(tokens.video), min(_EXAMPLES, len(tokens.video)), replace=False))
    count = len(chosen)
    served_at = np.full(count, now)
    nothing = np.zeros(count, dtype=np.int64)
    return Examples(
        user=tokens.owner[chosen],
        video=tokens.video[chosen],
        served_at=served_at,
        known_at=served_at + 10.0,
        surface=nothing,
        position=nothing,
        features=rng.normal(size=(count, WIDTH)).astype(np.float32),
        labels=(rng.random((count, len(HEADS))) < 0.3).astype(np.float32),
        watched_s=rng.uniform(0.5, 30.0, count).astype(np.float32),
    )


def _write_untrained(folder: Path, traits: Traits) -> None:
    """Towers that have learned nothing: where every vector is compared, it makes no difference how they lie."""
    features = VideoFeatures(traits.author, traits.sound, traits.tags, traits.content)
    export_towers(TwoTower(features, TwoTowerConfig()).eval(), _TOWER_WINDOW, folder)


def _copy(towers: Path, folder: Path) -> None:
    shutil.copytree(towers, folder, dirs_exist_ok=True)


def _graph(columns: VideoColumns, rng: np.random.Generator) -> GraphVectors:
    """Vectors that are near for videos of one tag."""
    width, count = GraphShape().width + 1, columns.count
    tags = columns.tag_rows[:count, 0]
    kinds: Floats = rng.normal(size=(int(tags.max(initial=0)) + 1, width)).astype(np.float32)
    vectors = np.empty((count, width), dtype=np.float32)
    for start in range(0, count, 100_000):
        of = kinds[np.maximum(tags[start : start + 100_000], 0)]
        vectors[start : start + 100_000] = of + np.float32(_OWN) * rng.normal(size=of.shape).astype(np.float32)
    return GraphVectors(vectors, vectors)

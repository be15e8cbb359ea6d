"""A small world for the ranker: every second video is watched long."""

from pathlib import Path

import numpy as np

from reelrank.features.tokens import Deeds, tokens_of
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.training.examples import TrainingSet, Traits, labels_of
from reelrank.training.export import export
from reelrank.training.ranker_data import Trained
from reelrank.training.ranker_weights import save_weights
from reelrank.training.train_ranker import train
from training import bare

NOW = 1_750_000_000.0
USERS, VIDEOS = 24, 40
SETTINGS = RankerSettings(
    width=8, attention_heads=2, window=12, strong=4, experts=2, hidden=8, thresholds=6, bins=4, admit_after=2,
    pretrain_epochs=0, epochs=4, batch_rows=4, learning_rate=2e-2, dropout=0.0, averaging=0.9, encoded=0, co_watched=0.0, pairwise=0.0,
)  # fmt: skip


def world(examples: int = 600, seed: int = 0, since: float = NOW, liked: int = 0) -> TrainingSet:
    """Examples a minute apart; everything that was watched is in the histories. What is `liked` are even rows, or with 1 the odd ones."""
    rng = np.random.default_rng(seed)
    user, video = rng.integers(0, USERS, examples), rng.integers(0, VIDEOS, examples)
    long_view = np.where(rng.random(examples) < 0.9, video % 2 == liked, video % 2 != liked)
    served_at = since + 60.0 * np.arange(examples)
    known_at = served_at + 20.0
    labels = labels_of(examples, click=long_view, long_view=long_view, like=long_view & (rng.random(examples) < 0.3))
    watched_s = np.where(long_view, 20.0, 2.0).astype(np.float32)
    none, no_times = np.empty(0, dtype=np.int64), np.empty(0)
    surface, replays = rng.integers(0, 3, examples), np.zeros(examples, dtype=np.int64)
    deeds = Deeds(USERS, user, video, known_at, watched_s.astype(float), replays, ~long_view, long_view, surface, none, none, no_times, none)
    tags = np.where(rng.random((VIDEOS, 3)) < 0.5, np.arange(VIDEOS)[:, None] % 5, -1)
    sound = np.where(np.arange(VIDEOS) % 3 == 0, -1, np.arange(VIDEOS) % 4)
    traits = Traits(
        np.arange(VIDEOS) % 7, sound, tags, np.full(VIDEOS, 20.0), np.full(VIDEOS, since), rng.normal(size=(VIDEOS, 3)).astype(np.float32)
    )  # fmt: skip
    found = bare.examples(user, video, served_at, known_at=known_at, surface=surface, labels=labels, watched_s=watched_s)
    return TrainingSet(found, tokens_of(deeds, traits.duration_s), traits, np.array([f"u{row}" for row in range(USERS)]))


def published(folder: Path, training_set: TrainingSet) -> Trained:
    """A ranker after one epoch, exported into a folder with its weights."""
    trained = train(training_set, None, SETTINGS, 0, folder.parent / "run")
    export(trained, {}, folder)
    save_weights(trained, folder)
    return trained

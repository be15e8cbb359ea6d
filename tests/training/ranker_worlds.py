"""Small worlds for the ranker, in which it is known what explains what people watch."""

import numpy as np
import torch

from reelrank.models.ranker_inputs import RankerSettings
from reelrank.training.examples import TrainingSet, Traits, labels_of
from reelrank.training.ranker_data import Trained
from reelrank.training.train_ranker import begin
from training import bare

DAY_S = 86_400.0
VIDEOS, TAGS = 40, 4
SMALL = RankerSettings(
    width=16,
    attention_heads=2,
    experts=2,
    hidden=16,
    thresholds=8,
    batch_rows=8,
    epochs=25,
    pretrain_epochs=0,
    learning_rate=1e-2,
    dropout=0.0,
    averaging=0.9,
    spread=0.3,
)


def traits() -> Traits:
    """Videos of one tag each, two authors, all of the same length."""
    videos = np.arange(VIDEOS)
    tags = np.stack([videos % TAGS, np.full(VIDEOS, -1)], axis=1)
    return bare.traits(VIDEOS, author=videos % 2, tags=tags, duration_s=np.full(VIDEOS, 20.0))


def world(happens, users: int = 120, each: int = 20, seed: int = 0, days: float = 2.0) -> TrainingSet:
    """Users who are shown random videos, one after the other; `happens(user, video, before, rng)` says whether it was a long view.

    `before` are this user's (video, long view) pairs so far. Every example becomes a token, a minute after it was served.
    The features say nothing.
    """
    rng = np.random.default_rng(seed)
    served_at = np.sort(rng.uniform(1e9, 1e9 + days * DAY_S, (users, each)), axis=1) + np.arange(each) * 61
    video = rng.integers(0, VIDEOS, (users, each))
    long_view = np.zeros((users, each), dtype=np.bool_)
    for user in range(users):
        before: list[tuple[int, bool]] = []
        for place in range(each):
            long_view[user, place] = happens(user, int(video[user, place]), before, rng)
            before.append((int(video[user, place]), bool(long_view[user, place])))
    long, at, for_you = long_view.ravel(), served_at.ravel(), np.ones(users * each, dtype=np.int64)
    tokens = bare.tokens(
        list(video),
        actions=np.where(long, bare.LONG, 0).astype(np.uint8),
        completion=np.where(long, 1.0, 0.1).astype(np.float32),
        occurred_at=at + 60,
        surface=for_you,
    )
    examples = bare.examples(
        np.repeat(np.arange(users), each),
        video.ravel(),
        at,
        known_at=at + 60,
        surface=for_you,
        labels=labels_of(users * each, click=long, long_view=long),
        watched_s=np.where(long, 20.0, 2.0).astype(np.float32),
    )
    return TrainingSet(examples.take(np.argsort(at, kind="stable")), tokens, traits(), np.array([f"u{user}" for user in range(users)]))


def halves(data: TrainingSet) -> tuple[TrainingSet, TrainingSet]:
    """The examples before and after the middle of the time."""
    middle = float(np.median(data.examples.served_at))
    return data.between(0, middle), data.between(middle, np.inf)


def with_any_weights(data: TrainingSet, settings: RankerSettings = SMALL) -> Trained:
    """A ranker whose every part says something."""
    trained = begin(data, settings)
    with torch.no_grad():
        for weight in trained.network.parameters():
            weight.normal_(std=0.3)
    return trained


def of_one_taste(user: int, video: int, before: list[tuple[int, bool]], rng: np.random.Generator) -> bool:
    """Each user likes one tag, which nothing but the history tells."""
    return rng.random() < (0.95 if video % TAGS == user % TAGS else 0.05)


def of_the_last_one(user: int, video: int, before: list[tuple[int, bool]], rng: np.random.Generator) -> bool:
    """People want more of what they were shown just now, whatever they did before."""
    return bool(before) and rng.random() < (0.95 if video % 2 == before[-1][0] % 2 else 0.05)


def of_chance(user: int, video: int, before: list[tuple[int, bool]], rng: np.random.Generator) -> bool:
    """Nothing tells."""
    return bool(rng.random() < 0.5)

"""Small worlds for the ranker, in which it is known what explains what people watch."""

import numpy as np

from reelrank.features.definitions import WIDTH
from reelrank.features.tokens import Action, Tokens
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.training.examples import HEADS, Examples, TrainingSet, Traits, no_labels

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

WATCHED = int(Action.CLICK | Action.LONG_VIEW)


def traits() -> Traits:
    """Videos of one tag each, two authors, all of the same length."""
    videos = np.arange(VIDEOS)
    return Traits(
        author=videos % 2,
        sound=np.full(VIDEOS, -1),
        tags=np.stack([videos % TAGS, np.full(VIDEOS, -1)], axis=1),
        duration_s=np.full(VIDEOS, 20.0),
        uploaded_at=np.zeros(VIDEOS),
        content=np.zeros((VIDEOS, 0), dtype=np.float32),
    )


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
    tokens = Tokens(
        start=np.arange(users + 1) * each,
        video=video.ravel(),
        actions=np.where(long_view, WATCHED, 0).astype(np.uint8).ravel(),
        completion=np.where(long_view, 1.0, 0.1).astype(np.float32).ravel(),
        occurred_at=(served_at + 60).ravel(),
        surface=np.ones(users * each, dtype=np.int64),
    )
    order = np.argsort(served_at.ravel(), kind="stable")
    labels = no_labels(users * each)
    for head in ("click", "long_view"):
        labels[:, HEADS.index(head)] = long_view.ravel()
    examples = Examples(
        user=np.repeat(np.arange(users), each),
        video=video.ravel(),
        served_at=served_at.ravel(),
        known_at=served_at.ravel() + 60,
        surface=np.ones(users * each, dtype=np.int64),
        position=np.zeros(users * each, dtype=np.int64),
        features=np.zeros((users * each, WIDTH), dtype=np.float32),
        labels=labels,
        watched_s=np.where(long_view, 20.0, 2.0).astype(np.float32).ravel(),
    )
    return TrainingSet(examples.take(order), tokens, traits(), np.array([f"u{user}" for user in range(users)]))


def halves(data: TrainingSet) -> tuple[TrainingSet, TrainingSet]:
    """The examples before and after the middle of the time."""
    middle = float(np.median(data.examples.served_at))
    return data.between(0, middle), data.between(middle, np.inf)


def of_one_taste(user: int, video: int, before: list[tuple[int, bool]], rng: np.random.Generator) -> bool:
    """Each user likes one tag, which nothing but the history tells."""
    return rng.random() < (0.95 if video % TAGS == user % TAGS else 0.05)


def of_the_last_one(user: int, video: int, before: list[tuple[int, bool]], rng: np.random.Generator) -> bool:
    """People want more of what they were shown just now, whatever they did before."""
    return bool(before) and rng.random() < (0.95 if video % 2 == before[-1][0] % 2 else 0.05)


def of_chance(user: int, video: int, before: list[tuple[int, bool]], rng: np.random.Generator) -> bool:
    """Nothing tells."""
    return bool(rng.random() < 0.5)

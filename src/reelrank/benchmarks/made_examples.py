"""Examples made to order, of the shape that a short-video app has: what they cost to learn is right, what they say is chance."""

import numpy as np

from reelrank.features.definitions import WIDTH
from reelrank.features.tokens import Action, Tokens
from reelrank.training.examples import HEADS, Examples, TrainingSet, Traits

_BEFORE = (64, 192)  # tokens of a user before the first example
_NOW = 1_700_000_000.0
_WATCH_S = 45.0  # from one token to the next within a sitting
_TAGS = 3  # of a video, at most
_KNOWN = 0.9  # of the features of an example
_RATES = {"click": 0.6, "long_view": 0.3, "completion": 0.25, "like": 0.03, "share": 0.002, "follow": 0.002, "comment": 0.004, "replay": 0.02, "hide": 0.001}
_ACTIONS = {Action.CLICK: 0.6, Action.LONG_VIEW: 0.3, Action.LIKE: 0.03, Action.COMMENT: 0.004, Action.REPLAY: 0.02}


def made_examples(users: int, each: int, videos: int, seed: int = 0) -> TrainingSet:
    """Users with 64 to 192 tokens and then `each` examples, every one of which is a token when the next is served.

    Videos by Zipf's law: the n-th most popular comes 1/n as often as the first. All outcomes and nine tenths of all features are known.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(_BEFORE[0], _BEFORE[1], users, endpoint=True) + each
    start = np.concatenate([[0], np.cumsum(lengths)])
    tokens = _tokens(start, videos, rng)
    of_example = (start[1:, None] - each + np.arange(each)).ravel()  # the token that becomes of each
    user = np.repeat(np.arange(users), each)
    order = np.argsort(tokens.occurred_at[of_example], kind="stable")
    user, of_example, count = user[order], of_example[order], users * each
    features = rng.standard_normal((count, WIDTH), dtype=np.float32)
    features[rng.random(features.shape) >= _KNOWN] = np.nan
    examples = Examples(
        user=user,
        video=tokens.video[of_example],
        served_at=tokens.occurred_at[of_example] - 1.0,
        known_at=tokens.occurred_at[of_example],
        surface=tokens.surface[of_example],
        position=rng.integers(0, each, count),
        features=features,
        labels=(rng.random((count, len(HEADS))) < [_RATES[head] for head in HEADS]).astype(np.float32),
        watched_s=rng.exponential(20.0, count).astype(np.float32),
    )
    return TrainingSet(examples, tokens, _traits(videos, rng), np.array([f"u{number}" for number in range(users)]))


def _tokens(start: np.ndarray, videos: int, rng: np.random.Generator) -> Tokens:
    count = int(start[-1])
    popular = np.cumsum(1 / np.arange(1, videos + 1))
    gap_s = rng.exponential(_WATCH_S, count) + 2.0
    end = np.cumsum(gap_s)
    actions = np.zeros(count, dtype=np.uint8)
    for action, rate in _ACTIONS.items():
        actions |= np.where(rng.random(count) < rate, int(action), 0).astype(np.uint8)
    return Tokens(
        start=start,
        video=rng.permutation(videos)[np.searchsorted(popular, rng.random(count) * popular[-1], side="right")],
        actions=actions,
        completion=np.minimum(rng.exponential(0.6, count), 3.0).astype(np.float32),
        occurred_at=_NOW + end - np.repeat(end[start[1:] - 1], np.diff(start)),
        surface=rng.integers(1, 4, count),
    )


def _traits(videos: int, rng: np.random.Generator) -> Traits:
    """An author for two videos, a sound for three, up to three of two hundred tags."""
    tags = rng.integers(0, 200, (videos, _TAGS))
    return Traits(
        author=rng.integers(0, max(1, videos // 2), videos),
        sound=rng.integers(0, max(1, videos // 3), videos),
        tags=np.where(rng.random(tags.shape) < 0.6, tags, -1),
        duration_s=rng.uniform(5, 90, videos),
        uploaded_at=np.full(videos, _NOW - 30 * 86_400.0),
        content=np.empty((videos, 0), dtype=np.float32),
    )

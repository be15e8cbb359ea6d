"""Parts of training sets of which nothing is known but what a test says."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reelrank.features.definitions import WIDTH
from reelrank.features.tokens import Action, Tokens
from reelrank.training.examples import Examples, Traits, labels_of
from walks import joined

LONG = int(Action.CLICK | Action.LONG_VIEW)


def traits(videos: int, **known: np.ndarray) -> Traits:
    """Videos of ten seconds, by the same author, without sound, tag or content."""
    none = np.full(videos, -1)
    made = Traits(none + 1, none, none[:, None], np.full(videos, 10.0), np.zeros(videos), np.empty((videos, 0), dtype=np.float32))
    return replace(made, **known)


def examples(user: np.ndarray, video: np.ndarray, served_at: np.ndarray, **known: np.ndarray) -> Examples:
    """Impressions that nobody knows the outcome of, ten seconds each; their features are 0."""
    count, nothing = len(user), np.zeros(len(user), dtype=np.int64)
    features, watched_s = np.zeros((count, WIDTH), dtype=np.float32), np.zeros(count, dtype=np.float32)
    return replace(Examples(user, video, served_at, served_at + 10.0, nothing, nothing, features, labels_of(count), watched_s), **known)


def tokens(histories: Sequence[np.ndarray], **known: np.ndarray) -> Tokens:
    """What users watched, oldest first: every video long and to its end, a minute after the one before."""
    video, start = joined(histories)
    actions, completion = np.full(len(video), LONG, dtype=np.uint8), np.ones(len(video), dtype=np.float32)
    return Tokens(start, video, actions, completion, np.arange(len(video)) * 60.0, np.zeros(len(video), dtype=np.int64))._replace(**known)

"""A ranker that has learned nothing but how often things happen, as an artifact: small, and quickly made."""

from pathlib import Path

import numpy as np

from reelrank.features.definitions import WIDTH
from reelrank.features.tokens import Tokens
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.training import train_ranker
from reelrank.training.examples import HEADS, Examples, TrainingSet, Traits
from reelrank.training.export import export

SETTINGS = RankerSettings(width=8, attention_heads=2, window=16, strong=4, experts=2, hidden=8, thresholds=8)


def write_ranker(folder: Path, seed: int = 0, videos: int = 40, examples: int = 400) -> None:
    """Writes the artifact of an untrained network into `folder`."""
    import torch

    torch.manual_seed(seed)
    export(train_ranker.begin(_examples(np.random.default_rng(seed), videos, examples), SETTINGS), {}, folder)


def _examples(rng: np.random.Generator, videos: int, examples: int) -> TrainingSet:
    """Users who watch at random."""
    watched = rng.integers(0, videos, examples)
    served_at = np.sort(rng.uniform(0.0, 86_400.0, examples))
    nothing = np.zeros(examples, dtype=np.int64)
    labels = (rng.random((examples, len(HEADS))) < 0.3).astype(np.float32)
    watched_s = rng.uniform(0.5, 10.0, examples).astype(np.float32)
    features = rng.normal(size=(examples, WIDTH)).astype(np.float32)
    seen = Examples(nothing, watched, served_at, served_at + 10.0, nothing, nothing, features, labels, watched_s)
    actions, completion = np.ones(examples, dtype=np.uint8), np.full(examples, 0.5, dtype=np.float32)
    tokens = Tokens(np.array([0, examples]), watched, actions, completion, served_at + 10.0, nothing)
    alone = np.zeros(videos, dtype=np.int64)
    traits = Traits(alone, alone - 1, np.full((videos, 2), -1), np.full(videos, 10.0), np.zeros(videos), np.empty((videos, 0), dtype=np.float32))
    return TrainingSet(seen, tokens, traits, np.array(["u"]))

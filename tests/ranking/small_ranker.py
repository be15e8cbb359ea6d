"""A ranker that has learned nothing but how often things happen, as an artifact: small, and quickly made."""

from pathlib import Path

import numpy as np

from reelrank.features.definitions import WIDTH
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.training import train_ranker
from reelrank.training.examples import HEADS, TrainingSet
from reelrank.training.export import export
from training import bare

SETTINGS = RankerSettings(width=8, attention_heads=2, window=16, strong=4, experts=2, hidden=8, thresholds=8)


def write_ranker(folder: Path, seed: int = 0, videos: int = 40, examples: int = 400, spread: float = 0.0) -> None:
    """Writes the artifact of an untrained network into `folder`; with a `spread` of its weights also what begins with 0 has a say, as the history does."""
    import torch

    torch.manual_seed(seed)
    begun = train_ranker.begin(_examples(np.random.default_rng(seed), videos, examples), SETTINGS)
    with torch.no_grad():
        for weights in begun.ranker.parameters():
            weights += spread * torch.randn_like(weights)
    export(begun, {}, folder)


def _examples(rng: np.random.Generator, videos: int, examples: int) -> TrainingSet:
    """Users who watch at random."""
    watched = rng.integers(0, videos, examples)
    served_at = np.sort(rng.uniform(0.0, 86_400.0, examples))
    seen = bare.examples(
        np.zeros(examples, dtype=np.int64),
        watched,
        served_at,
        labels=(rng.random((examples, len(HEADS))) < 0.3).astype(np.float32),
        watched_s=rng.uniform(0.5, 10.0, examples).astype(np.float32),
        features=rng.normal(size=(examples, WIDTH)).astype(np.float32),
    )
    clicked, half = np.ones(examples, dtype=np.uint8), np.full(examples, 0.5, dtype=np.float32)
    tokens = bare.tokens([watched], actions=clicked, completion=half, occurred_at=served_at + 10.0)
    return TrainingSet(seen, tokens, bare.traits(videos), np.array(["u"]))

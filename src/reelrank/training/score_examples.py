"""What an exported ranker says of examples: the very session that serves, over many histories at once."""

from collections.abc import Callable

import numpy as np

from reelrank.domain.arrays import Floats, Rows
from reelrank.models.sessions import RankerSession
from reelrank.models.shifts import user_keys
from reelrank.training.examples import TrainingSet
from reelrank.training.ranker_batches import Batches
from reelrank.training.ranker_data import traits_of


def score_examples(session: RankerSession, data: TrainingSet, on_progress: Callable[[int], None] = lambda _: None) -> tuple[Floats, Floats]:
    """Logits (n, heads) and predicted seconds (n,) of all examples, each with its user's history of that moment."""
    examples, traits = data.examples, traits_of(data)
    features, surface = np.asarray(examples.features), np.asarray(examples.surface)
    logits, watch_s = np.full((len(examples), len(session.heads)), np.nan, dtype=np.float32), np.full(len(examples), np.nan, dtype=np.float32)
    users = user_keys(data.user_ids.tolist())
    for batch in Batches(data, session.manifest.settings).in_order():
        keys, values = session.encode_rows(batch.tokens, batch.within, traits)
        some: Rows = np.maximum(batch.example, 0)
        of = users[examples.user[some[:, 0]]]  # all examples of a row are of one user
        heads, seconds = session.score_rows(of, keys, values, examples.video[some], surface[some], features[some], batch.ranks, batch.ages, traits)
        there = batch.example >= 0
        logits[batch.example[there]], watch_s[batch.example[there]] = heads[there], seconds[there]
        on_progress(int(there.sum()))
    return logits, watch_s

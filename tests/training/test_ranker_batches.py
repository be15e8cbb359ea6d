"""Rows hold examples of one user, with the tokens and lags of each one's own moment."""

import msgspec
import numpy as np

from reelrank.models.ranker_inputs import NO_LAG, RANKS, read_tokens
from reelrank.training.ranker_batches import TOGETHER, Batches
from training.ranker_worlds import SMALL, of_one_taste, world


def test_every_example_is_in_one_row_of_its_user() -> None:
    data = world(of_one_taste, users=7, each=40)
    batches = Batches(data, SMALL)
    rows = [row for together in batches.plan(batches.rows, np.random.default_rng(0)) for row in together]
    assert sorted(np.concatenate([row.examples for row in rows])) == list(range(len(data.examples)))
    assert all((data.examples.user[row.examples] == row.user).all() and len(row.examples) <= TOGETHER for row in rows)


def test_an_example_sees_as_many_tokens_as_were_known_when_it_was_served() -> None:
    data = world(of_one_taste, users=7, each=40)
    known = data.history_ends - data.tokens.start[data.examples.user]
    for batch in Batches(data, SMALL).in_order():
        there = batch.example >= 0
        assert np.array_equal((batch.ranks != NO_LAG).sum(axis=-1)[there], known[batch.example[there]])
        assert (batch.ranks[~there] == NO_LAG).all()
        assert batch.ranks.max() < RANKS


def test_old_tokens_are_read_only_if_they_were_meant() -> None:
    data = world(of_one_taste, users=1, each=60)
    settings = msgspec.structs.replace(SMALL, window=10, strong=3)
    read = read_tokens(data.tokens, 0, 50, settings)
    meant = np.flatnonzero(data.tokens.actions[:40])
    assert read.tolist() == [*meant[-3:], *range(40, 50)]
    assert read_tokens(data.tokens, 0, 50, msgspec.structs.replace(settings, strong=0)).tolist() == list(range(40, 50))
    assert read_tokens(data.tokens, 0, 0, settings).tolist() == []

"""Tests of the peer: it sees no future, it learns an order, and it goes on where it was."""

import numpy as np
import pytest
import torch

from reelrank.studies import sasrec
from reelrank.studies.sasrec import Sasrec, SasrecConfig
from walks import joined, walks


def test_the_output_at_a_place_does_not_know_what_comes_after_it() -> None:
    torch.manual_seed(0)
    network = Sasrec(20, SasrecConfig(width=8)).eval()
    one = torch.randint(20, (3, 9))
    other = one.clone()
    other[:, 5:] = other[:, 5:].flip(1)
    with torch.inference_mode():
        before, after = network(one), network(other)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


@pytest.mark.parametrize("loss", ["bce", "softmax"])
def test_it_learns_what_comes_next(loss: str) -> None:
    rows, indptr = joined(walks(150, 12, np.random.default_rng(0)))
    config = SasrecConfig(loss=loss, width=16, dropout=0.1, batch=32, learning_rate=0.01)

    def right(network: Sasrec) -> float:
        guessed = sasrec.scores(network, rows, indptr[:-1], indptr[1:] - 1).argmax(axis=1)
        return float((guessed == rows[indptr[1:] - 1]).mean())

    trained = sasrec.train(sasrec.begin(12, config, seed=0), rows, indptr, right, epochs=25)
    assert trained.quality > 0.95


def test_it_goes_on_where_it_was_and_stops_when_nothing_gets_better() -> None:
    rows, indptr = joined(walks(40, 12, np.random.default_rng(0)))
    trained = sasrec.begin(12, SasrecConfig(width=8, batch=32), seed=0)
    sasrec.train(trained, rows, indptr, lambda _: 0.5, epochs=2, every=1)
    assert (trained.epochs, trained.stale) == (2, 1)
    sasrec.train(trained, rows, indptr, lambda _: 0.5, epochs=20, every=1)
    assert trained.epochs == 4


def test_a_long_history_is_cut_to_its_newest_items() -> None:
    network = sasrec.begin(12, SasrecConfig(width=8, length=3), seed=0).network
    rows = np.array([5, 6, 1, 2, 3])
    long, short = (sasrec.scores(network, rows, np.array([start]), np.array([5])) for start in (0, 2))
    np.testing.assert_array_equal(long, short)

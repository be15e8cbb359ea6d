"""Recall of live searches: looked up exactly, for the share that was asked for, and never in the way of a search."""

import numpy as np

from reelrank.candidates.recall_watch import RecallWatch, Search
from reelrank.candidates.row_bits import every
from reelrank.candidates.vector_index import VectorIndex
from reelrank.domain.user import no_rows


def a_search() -> Search:
    index = VectorIndex(2)
    index.add(np.stack([np.arange(100), np.zeros(100)], axis=1).astype(np.float32))
    return Search(index, np.array([1, 0], dtype=np.float32), 10, no_rows(), every(100))


def test_the_recall_is_the_share_of_the_nearest_that_was_found():
    watch, search, rng = RecallWatch(1.0, 1.0), a_search(), np.random.default_rng(0)
    watch.offer("whole", search, search.found()[0], rng)
    watch.offer("half", search, np.arange(95, 105), rng)
    watch.offer("half", search, np.arange(0), rng)
    watch.wait()
    watch.close()
    told = watch.told()
    assert (told["whole"].looked_up, told["whole"].lately) == (1, 1.0)
    assert (told["half"].looked_up, told["half"].lately) == (2, 0.25)


def test_few_searches_are_looked_up_and_none_after_it_was_closed():
    watch, search, rng = RecallWatch(0.0, 1.0), a_search(), np.random.default_rng(0)
    for _ in range(50):
        watch.offer("nearest", search, no_rows(), rng)
    assert watch.told() == {}
    watch = RecallWatch(1.0, 1.0)
    watch.close()
    watch.offer("nearest", search, no_rows(), rng)
    assert watch.told() == {}


def test_what_can_not_wait_is_left_out_and_counted():
    watch, search, rng = RecallWatch(1.0, 1e-6), a_search(), np.random.default_rng(0)
    for _ in range(40):  # after the first look-up the thread rests for minutes
        watch.offer("nearest", search, no_rows(), rng)
    watch.close()
    while "nearest" not in watch.told():
        pass
    assert watch.told()["nearest"].left_out >= 40 - 16 - 2

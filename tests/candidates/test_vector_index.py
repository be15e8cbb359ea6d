"""The index of vectors: exact while it is small, nearly beyond, and never wrong about which rows it holds."""

import threading

import numpy as np
import pytest

from reelrank.candidates.vector_index import VectorIndex
from reelrank.domain.user import no_rows

WIDTH = 16


def vectors(count: int, seed: int = 0) -> np.ndarray:
    """Vectors around a few centres, as those of videos are."""
    rng, centres = np.random.default_rng(seed), np.random.default_rng(99).normal(size=(20, WIDTH))
    return (centres[rng.integers(0, 20, count)] + 0.3 * rng.normal(size=(count, WIDTH))).astype(np.float32)


def test_the_nearest_are_those_with_the_largest_inner_product_best_first():
    made, rows = vectors(500), 3 * np.arange(500)
    index = VectorIndex(WIDTH)
    index.put(rows, made)
    query = vectors(1, seed=1)[0]
    found, scores = index.nearest(query, 10, without=no_rows())
    expected = np.argsort(-(made @ query))[:10]
    assert found.tolist() == rows[expected].tolist()
    np.testing.assert_allclose(scores, (made @ query)[expected], rtol=1e-5)
    assert index.exact


def test_what_was_seen_is_passed_over_however_much_of_it_there_is():
    made = vectors(100)
    index = VectorIndex(WIDTH)
    index.put(np.arange(100), made)
    best = np.argsort(-(made @ made[0]))
    assert index.nearest(made[0], 5, without=best[:90])[0].tolist() == best[90:95].tolist()
    assert index.nearest(made[0], 20, without=best[:90])[0].tolist() == best[90:].tolist()


@pytest.mark.parametrize("exact_up_to", [1_000, 10])
def test_a_row_is_replaced_and_removed_and_comes_back(exact_up_to: int):
    index = VectorIndex(WIDTH, exact_up_to)
    index.put(np.arange(200), vectors(200))
    far = np.full((1, WIDTH), 50.0, dtype=np.float32)
    index.put(np.array([7]), far)
    assert (len(index), index.nearest(far[0], 1, no_rows())[0].tolist()) == (200, [7])
    index.remove(np.array([7, 9_999]))
    assert len(index) == 199 and 7 not in index.nearest(far[0], 199, no_rows())[0]
    index.put(np.array([7]), far)
    assert index.nearest(far[0], 1, no_rows())[0].tolist() == [7]


def test_an_empty_index_finds_nothing():
    rows, scores = VectorIndex(WIDTH).nearest(np.ones(WIDTH, dtype=np.float32), 5, no_rows())
    assert (rows.tolist(), scores.tolist()) == ([], [])


def test_vectors_of_another_width_are_refused():
    with pytest.raises(ValueError, match="need \\(2, 16\\)"):
        VectorIndex(WIDTH).put(np.arange(2), np.zeros((2, 8), dtype=np.float32))


def test_beyond_its_limit_it_looks_into_cells_and_finds_nearly_all_of_the_nearest():
    made = vectors(8_000)
    index = VectorIndex(WIDTH, exact_up_to=2_000)
    index.put(np.arange(8_000), made)
    assert not index.exact and len(index) == 8_000
    queries = vectors(50, seed=3)
    shares = [len(np.intersect1d(index.nearest(query, 100, no_rows())[0], np.argsort(-(made @ query))[:100])) / 100 for query in queries]
    assert np.mean(shares) > 0.9
    assert 17 not in index.nearest(made[17], 50, without=np.array([17]))[0]


def test_searches_beside_changes_find_only_what_is_or_was_there():
    index = VectorIndex(WIDTH, exact_up_to=300)
    made = vectors(1_000)
    index.put(np.arange(100), made[:100])
    stop, wrong = threading.Event(), []

    def search() -> None:
        while not stop.is_set():
            rows, _ = index.nearest(made[0], 20, without=np.array([1]))
            if 1 in rows or len(np.unique(rows)) != len(rows) or not 10 <= len(rows) <= 20:
                wrong.append(rows.tolist())

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for begin in range(100, 1_000, 100):
        index.put(np.arange(begin, begin + 100), made[begin : begin + 100])
        index.remove(np.arange(begin, begin + 50))
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []

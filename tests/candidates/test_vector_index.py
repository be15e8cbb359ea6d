"""The index of vectors: exact in memory, nearly so in cells, and never wrong about which rows it holds."""

import threading
from pathlib import Path

import numpy as np
import pytest

from reelrank.candidates.frozen_vectors import FrozenVectors, freeze
from reelrank.candidates.row_bits import bits_of
from reelrank.candidates.vector_index import VectorIndex
from reelrank.domain.user import no_rows

WIDTH, FROZEN = 16, 3_001
EVERYTHING = no_rows()


def vectors(count: int, seed: int = 0) -> np.ndarray:
    """Vectors around a few centres, as those of videos are, in numbers that half precision knows."""
    rng, centres = np.random.default_rng(seed), np.random.default_rng(99).normal(size=(20, WIDTH))
    return (centres[rng.integers(0, 20, count)] + 0.3 * rng.normal(size=(count, WIDTH))).astype(np.float16).astype(np.float32)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> FrozenVectors:
    folder, made = tmp_path_factory.mktemp("frozen"), vectors(FROZEN)
    freeze(folder, FROZEN, lambda rows: made[rows], vectors(64, seed=5), 0.98)
    return FrozenVectors(folder)


def both(frozen: FrozenVectors, live: int = 500) -> tuple[VectorIndex, np.ndarray]:
    """An index of frozen and live vectors, and all of them."""
    index, more = VectorIndex(WIDTH, frozen), vectors(live, seed=1)
    index.add(more)
    return index, np.concatenate([vectors(FROZEN), more])


def test_the_nearest_are_those_with_the_largest_inner_product_best_first():
    made, index = vectors(500), VectorIndex(WIDTH)
    index.add(made[:200])
    index.add(made[200:])
    query = vectors(1, seed=1)[0]
    found, scores = index.nearest(query, 10, EVERYTHING)
    expected = np.argsort(-(made @ query))[:10]
    assert found.tolist() == expected.tolist()
    np.testing.assert_allclose(scores, (made @ query)[expected], rtol=1e-5)


def test_what_was_seen_is_passed_over_however_much_of_it_there_is(frozen: FrozenVectors):
    index, made = both(frozen)
    best = np.argsort(-(made @ made[0]))
    seen = np.sort(best[:3_400])
    assert index.nearest(made[0], 20, seen, everywhere=True)[0].tolist() == best[3_400:3_420].tolist()
    assert index.nearest(made[0], 200, seen, everywhere=True)[0].tolist() == best[3_400:].tolist()
    assert not np.isin(index.nearest(made[0], 200, seen)[0], seen).any()


@pytest.mark.parametrize("known", [0, 2_996, 3_001, 3_500])
def test_only_what_may_be_found_is_found_and_what_is_newer_than_that(frozen: FrozenVectors, known: int):
    index, made = both(frozen)
    may = np.arange(len(made)) % 3 == 0
    may[known:] = True
    best = np.argsort(-(made @ made[1]))
    found = index.nearest(made[1], 50, EVERYTHING, only=bits_of(may[:known]), everywhere=True)[0]
    assert found.tolist() == best[may[best]][:50].tolist()


def test_an_empty_index_finds_nothing():
    rows, scores = VectorIndex(WIDTH).nearest(np.ones(WIDTH, dtype=np.float32), 5, EVERYTHING)
    assert (rows.tolist(), scores.tolist()) == ([], [])


def test_vectors_of_another_width_are_refused(frozen: FrozenVectors):
    with pytest.raises(ValueError, match="takes \\(n, 16\\)"):
        VectorIndex(WIDTH).add(np.zeros((2, 8), dtype=np.float32))
    with pytest.raises(ValueError, match="build the index again"):
        VectorIndex(8, frozen)


def test_cells_find_nearly_all_of_the_nearest_and_a_search_everywhere_finds_all(frozen: FrozenVectors):
    index, made = both(frozen)
    queries = vectors(50, seed=3)
    wanted = [np.argsort(-(made @ query))[:100] for query in queries]
    found = [np.isin(nearest, index.nearest(query, 100, EVERYTHING)[0]).mean() for nearest, query in zip(wanted, queries, strict=True)]
    assert np.mean(found) >= 0.97
    exact = [np.isin(nearest, index.nearest(query, 100, EVERYTHING, everywhere=True)[0]).mean() for nearest, query in zip(wanted, queries, strict=True)]
    assert np.mean(exact) == 1


def test_more_cells_are_visited_the_more_is_to_be_found(tmp_path: Path):
    scattered = np.random.default_rng(0).normal(size=(3_000, WIDTH)).astype(np.float32)
    made = {}
    for recall in (0.5, 0.98):
        folder = tmp_path / str(recall)
        folder.mkdir()
        made[recall] = freeze(folder, 3_000, lambda rows: scattered[rows], scattered[:64] + np.float32(0.1), recall)
    assert made[0.5].visited < made[0.98].visited <= made[0.98].cells
    assert made[0.5].recall < 0.98 <= made[0.98].recall


def test_where_people_ask_alike_few_cells_are_visited(tmp_path: Path):
    rng = np.random.default_rng(0)
    scattered, common = rng.normal(size=(20_000, WIDTH)).astype(np.float32), rng.normal(size=WIDTH)
    asking = (4.0 * common + rng.normal(size=(256, WIDTH))).astype(np.float32)
    made = freeze(tmp_path, len(scattered), lambda rows: scattered[rows], asking, 0.98)
    index = VectorIndex(WIDTH, FrozenVectors(tmp_path))
    others = (4.0 * common + rng.normal(size=(50, WIDTH))).astype(np.float32)
    wanted = [np.argsort(-(scattered @ query))[:200] for query in others]
    found = [np.isin(nearest, index.nearest(query, 200, EVERYTHING)[0]).mean() for nearest, query in zip(wanted, others, strict=True)]
    assert np.mean(found) >= 0.97
    assert made.visited <= made.cells / 8


def test_searches_beside_additions_wait_for_nobody_and_find_each_row_once(frozen: FrozenVectors):
    index, more = VectorIndex(WIDTH, frozen), vectors(2_000, seed=1)
    stop, wrong = threading.Event(), []

    def search() -> None:
        while not stop.is_set():
            rows, _ = index.nearest(more[0], 20, without=np.array([1]))
            if 1 in rows or len(np.unique(rows)) != len(rows) or len(rows) != 20:
                wrong.append(rows.tolist())

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for begin in range(0, 2_000, 50):
        index.add(more[begin : begin + 50])
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert (len(index), index.live) == (FROZEN + 2_000, 2_000)


def test_vectors_of_a_length_that_is_filled_up_in_the_file_are_found_by_their_own_products(tmp_path: Path):
    odd = np.random.default_rng(0).normal(size=(3_000, 9)).astype(np.float16).astype(np.float32)
    freeze(tmp_path, len(odd), lambda rows: odd[rows], odd[:64], 0.98)
    rows, scores = VectorIndex(9, FrozenVectors(tmp_path)).nearest(odd[5], 20, EVERYTHING, everywhere=True)
    products = odd @ odd[5]
    assert rows.tolist() == np.argsort(-products)[:20].tolist()
    np.testing.assert_allclose(scores, products[rows], rtol=1e-4)

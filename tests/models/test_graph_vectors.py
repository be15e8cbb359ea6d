"""Tests of vectors from the graph: for people who were not there, and for videos that nobody has watched."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from circles import of_circles, watched_by
from reelrank.models.graph_vectors import GraphShape, spectrum, vectors

CIRCLES, EACH = 4, 12
OF_VIDEO = of_circles(CIRCLES, EACH)


def circles(rng: np.random.Generator) -> np.ndarray:
    return watched_by(120, OF_VIDEO, rng, stray=0.02).astype(np.float32)


def test_somebody_who_was_not_there_finds_their_circle_at_once() -> None:
    watched = circles(np.random.default_rng(0))
    found = vectors(spectrum(csr_array(watched), 4), GraphShape(width=4))
    scores = found.scores(np.array([3 * EACH]), np.ones(1, dtype=np.float32))
    assert set(OF_VIDEO[np.argsort(-scores)[:EACH]]) == {3}


def test_a_video_that_nobody_has_watched_stands_where_its_content_says() -> None:
    rng = np.random.default_rng(1)
    watched = circles(rng)
    cold = np.arange(len(OF_VIDEO)) % EACH == 0
    watched[:, cold] = 0
    content = np.eye(CIRCLES, dtype=np.float32)[OF_VIDEO]
    found = vectors(spectrum(csr_array(watched), 8), GraphShape(width=8, ridge=1.0), content)
    scores = found.scores(np.array([2 * EACH + 1]), np.ones(1, dtype=np.float32))
    assert OF_VIDEO[cold][scores[cold].argmax()] == 2
    shuffled = vectors(spectrum(csr_array(watched), 8), GraphShape(width=8, ridge=1.0), rng.permutation(content))
    assert np.ptp(shuffled.scores(np.array([2 * EACH + 1]), np.ones(1, dtype=np.float32))[cold]) < np.ptp(scores[cold]) / 2


def test_what_was_watched_much_is_trusted_more_than_what_it_looks_like() -> None:
    watched = circles(np.random.default_rng(2))
    misleading = np.eye(CIRCLES, dtype=np.float32)[OF_VIDEO]
    misleading[0] = np.eye(CIRCLES, dtype=np.float32)[3]  # the first video looks like the last circle
    graph = spectrum(csr_array(watched), 8)
    of_first_circle, of_last_circle = np.array([1]), np.array([3 * EACH])
    one = np.ones(1, dtype=np.float32)
    trusting = vectors(graph, GraphShape(width=8, ridge=0.1, trust=1.0), misleading)
    doubting = vectors(graph, GraphShape(width=8, ridge=0.1, trust=1e6), misleading)
    assert trusting.scores(of_first_circle, one)[0] > trusting.scores(of_last_circle, one)[0]
    assert doubting.scores(of_first_circle, one)[0] < doubting.scores(of_last_circle, one)[0]


def test_a_lean_brings_the_popular_forward_and_leaves_the_rest_as_it_was() -> None:
    watched = circles(np.random.default_rng(3))
    watched[:, 0] = 1
    graph, one = spectrum(csr_array(watched), 8), np.ones(1, dtype=np.float32)
    plain, leaning = (vectors(graph, GraphShape(width=8, out_exponent=0.0, lean=lean)).scores(np.array([3 * EACH]), one) for lean in (0.0, 5.0))
    assert leaning.argmax() == 0 != plain.argmax()


def test_small_islands_do_not_crowd_out_what_many_share() -> None:
    watched = circles(np.random.default_rng(4))
    islands = 40
    apart = np.zeros((len(watched) + islands, len(OF_VIDEO) + islands), dtype=np.float32)
    apart[: len(watched), : len(OF_VIDEO)] = watched
    apart[len(watched) + np.arange(islands), len(OF_VIDEO) + np.arange(islands)] = 1
    scores = vectors(spectrum(csr_array(apart), CIRCLES), GraphShape(width=CIRCLES)).scores(np.array([0]), np.ones(1, dtype=np.float32))
    assert set(OF_VIDEO[np.argsort(-scores)[:EACH]]) == {0}


def test_videos_newer_than_the_vectors_are_passed_over() -> None:
    watched = circles(np.random.default_rng(5))
    found = vectors(spectrum(csr_array(watched), 4), GraphShape(width=4))
    both, one = np.array([1, 10_000]), np.array([1])
    np.testing.assert_array_equal(found.scores(both, np.ones(2)), found.scores(one, np.ones(1)))


def test_a_graph_without_edges_is_refused() -> None:
    with pytest.raises(ValueError, match="0 edges is too small"):
        spectrum(csr_array((5, 5), dtype=np.float32), 2)

"""Tests of the graph filter: against the formula, and on communities that it must tell apart."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from circles import of_circles, watched_by
from reelrank.models.graph_filter import FilterShape, GraphFilter, likeness_graph

USERS, OF_VIDEO = 40, of_circles(2, 15)


def communities(rng: np.random.Generator) -> np.ndarray:
    """Two circles, each with a video that all of it have watched."""
    watched = watched_by(USERS, OF_VIDEO, rng, often=0.3, stray=0.0).astype(np.float32)
    watched[::2, 0] = watched[1::2, -1] = 1
    return watched


def in_own_circle(watched: np.ndarray, shape: FilterShape) -> float:
    """How many of the unseen videos that users are recommended first are of their own circle."""
    scores = GraphFilter(csr_array(watched)).scores(csr_array(watched), shape)
    first = np.where(watched > 0, -np.inf, scores).argmax(axis=1)
    return float(np.mean(OF_VIDEO[first] == np.arange(USERS) % 2))


@pytest.mark.parametrize("hops", [(1.0,), (1.0, -0.4), (1.0, 1.0, 1.0)])
def test_two_communities_are_told_apart(hops: tuple[float, ...]) -> None:
    assert in_own_circle(communities(np.random.default_rng(0)), FilterShape(hops=hops)) == 1.0


def test_a_graph_with_shuffled_ends_knows_nothing() -> None:
    rng = np.random.default_rng(1)
    shuffled = rng.permuted(communities(rng), axis=1)
    assert in_own_circle(shuffled, FilterShape(hops=(1.0, 0.5))) < 0.8


def test_scores_are_the_formula() -> None:
    rng = np.random.default_rng(2)
    watched = communities(rng)
    likeness = np.eye(30, k=1) + np.eye(30, k=-1)
    predicts, known = rng.standard_normal((2, 30, 4)).astype(np.float32)
    shape = FilterShape(user_exponent=0.4, in_exponent=0.3, out_exponent=0.6, hops=(1.0, -0.5), like_watched=(0.2,), flow=0.1)
    users, videos = np.maximum(watched.sum(axis=1), 1), np.maximum(watched.sum(axis=0), 1)
    z = watched * users[:, None] ** -0.4 * videos**-0.5
    z /= np.linalg.norm(z, ord=2)
    step, into = z.T @ z, watched * videos**-0.3
    expected = (into @ step - 0.5 * into @ step @ step + 0.2 * into @ likeness) * videos**0.6 @ (np.eye(30) + 0.1 * known @ predicts.T)
    scores = GraphFilter(csr_array(watched), [csr_array(likeness)]).scores(csr_array(watched), shape, (predicts, known))
    np.testing.assert_allclose(scores, expected, rtol=1e-2, atol=2e-3)  # the scale is found by iteration


def test_somebody_who_was_not_there_when_the_graph_was_made_is_scored_by_their_history() -> None:
    watched = communities(np.random.default_rng(3))
    newcomer = csr_array(watched[:1])
    whole = GraphFilter(csr_array(watched)).scores(newcomer, FilterShape(hops=(1.0, 0.5)))
    assert whole[0, 1:15].min() > whole[0, 15:].max() == 0


def test_a_video_nobody_has_watched_is_found_through_what_it_looks_like() -> None:
    watched = np.zeros((2, 3), dtype=np.float32)
    watched[0, 0] = watched[1, 1] = 1
    graph = likeness_graph(np.array([[1, 0, 0], [0, 1, 0], [0.9, 0, 0.1]], dtype=np.float32), neighbours=1)
    scores = GraphFilter(csr_array(watched), [graph]).scores(csr_array(watched), FilterShape(like_watched=(0.1,)))
    assert scores[0, 2] > 0 == scores[1, 2]


def test_a_likeness_graph_is_symmetric_without_loops_and_leaves_the_unknown_alone() -> None:
    vectors = np.random.default_rng(4).standard_normal((50, 6)).astype(np.float32)
    vectors[7] = 0
    graph = likeness_graph(vectors, neighbours=5).toarray()
    np.testing.assert_allclose(graph, graph.T, atol=1e-6)
    assert np.diag(graph).max() == 0
    assert graph[7].max() == 0
    assert likeness_graph(vectors[:1], neighbours=5).nnz == 0

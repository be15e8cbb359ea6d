"""Tests of the source that reads the graph."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from candidates.conftest import CATS, DOGS
from candidates.small_app import SmallApp
from reelrank.candidates.eligible import Eligible
from reelrank.candidates.graph_neighbours import GRAPH, GraphNeighboursSource, edges_of, graph_vectors
from reelrank.candidates.rows import strongest
from reelrank.domain.event import Hide
from reelrank.models.content_space import code_features
from reelrank.models.graph_vectors import GraphShape, GraphVectors, spectrum, vectors

NEW_CAT, NEW_DOG = "a cat of today", "a dog of today"


@pytest.fixture
def source(two_circles: SmallApp) -> GraphNeighboursSource:
    """The vectors of what sixteen people watched, with one new video of each kind that nobody has watched."""
    two_circles.publish(NEW_CAT, author="cat lover", tags=["cats"])
    two_circles.publish(NEW_DOG, author="dog lover", tags=["dogs"])
    columns = two_circles.columns
    edges = [edges_of(two_circles.user(f"{kind} person {person}")) for kind in ("cat", "dog") for person in range(8)]
    users = np.repeat(np.arange(len(edges)), [len(rows) for rows, _ in edges])
    rows, amounts = (np.concatenate(parts) for parts in zip(*edges, strict=True))
    watched = csr_array((amounts, (users, rows)), shape=(len(edges), columns.count))
    authors = columns.author_row[: columns.count]
    codes = csr_array((np.ones(len(authors)), (np.arange(len(authors)), authors)))
    model = vectors(spectrum(watched, 4), GraphShape(width=4, ridge=0.1, trust=1.0), code_features([codes], 10))
    two_circles.artifacts.publish(GRAPH, two_circles.clock.now(), model.write)
    return GraphNeighboursSource(graph_vectors(two_circles.artifacts, columns), Eligible(columns, two_circles.clock))


def test_who_watches_cats_is_proposed_the_other_cats_and_the_new_one(two_circles: SmallApp, source: GraphNeighboursSource) -> None:
    two_circles.watches("newcomer", "cat 0", "cat 1")
    assert set(two_circles.proposed(source, "newcomer", quota=5)) == {*CATS, NEW_CAT} - {"cat 0", "cat 1"}


def test_the_new_video_of_the_own_kind_comes_before_all_of_the_other(two_circles: SmallApp, source: GraphNeighboursSource) -> None:
    two_circles.watches("newcomer", "dog 2")
    proposed = two_circles.proposed(source, "newcomer", quota=20)
    assert proposed.index(NEW_DOG) < min(proposed.index(video) for video in (*CATS, NEW_CAT))
    assert "dog 2" not in proposed


def test_nothing_is_proposed_to_somebody_new_or_before_there_is_a_model(two_circles: SmallApp, source: GraphNeighboursSource) -> None:
    assert two_circles.proposed(source, "nobody") == []
    two_circles.artifacts.root = two_circles.artifacts.root / "elsewhere"
    columns = two_circles.columns
    without = GraphNeighboursSource(graph_vectors(two_circles.artifacts, columns), Eligible(columns, two_circles.clock))
    assert two_circles.proposed(without, "cat person 0") == []


def test_it_proposes_what_comparing_with_every_video_finds(two_circles: SmallApp, source: GraphNeighboursSource) -> None:
    two_circles.watches("newcomer", "cat 0", "dog 1")
    two_circles.skips("newcomer", "cat 4")
    user, model = two_circles.user("newcomer"), GraphVectors.mapped(two_circles.artifacts.current(GRAPH).folder)
    scores = model.finds @ model.user(*edges_of(user))
    scores[np.array(user.seen)] = -np.inf
    for quota in (1, 7, 100):
        expected = strongest(scores, quota)
        assert source.propose(two_circles.query("newcomer"), quota).rows.tolist() == expected[np.isfinite(scores[expected])].tolist()


def test_a_video_that_is_newer_than_the_graph_is_not_proposed_and_does_no_harm(two_circles: SmallApp, source: GraphNeighboursSource) -> None:
    two_circles.watches("newcomer", "cat 0")
    before = two_circles.proposed(source, "newcomer", quota=50)
    two_circles.publish("a video of tomorrow")
    source.refresh()
    two_circles.watches("newcomer", "a video of tomorrow")
    assert two_circles.proposed(source, "newcomer", quota=50) == before


def test_vectors_of_an_earlier_release_are_read(two_circles: SmallApp, source: GraphNeighboursSource, tmp_path: Path) -> None:
    model = GraphVectors.mapped(two_circles.artifacts.current(GRAPH).folder)
    model.save(tmp_path / "graph.npz")
    np.testing.assert_array_equal(GraphVectors.mapped(tmp_path).finds, model.finds)


def test_an_edge_weighs_more_the_more_was_done_and_what_was_hidden_has_none(app: SmallApp) -> None:
    app.publish(*CATS, *DOGS)
    app.skips("ana", "cat 0")
    app.watches("ana", "cat 1", watched_s=1.0)
    app.watches("ana", "cat 2", "cat 3", "dog 0")
    app.likes("ana", "cat 3")
    app.see(Hide(event_id="hides", user_id="ana", video_id="dog 0"))
    rows, amounts = edges_of(app.user("ana"))
    assert rows.tolist() == [app.columns.rows[f"cat {n}"] for n in range(4)]
    assert amounts.tolist() == sorted(set(amounts.tolist()))

"""Tests that all columns of the candidates change together."""

import numpy as np

from reelrank.domain.candidate import Candidates


def some() -> Candidates:
    return Candidates(
        rows=np.array([7, 3, 9]),
        sources=np.array([1, 2, 3], dtype=np.uint32),
        source_names=("a", "b"),
        features=np.array([[7.0], [3.0], [9.0]], dtype=np.float32),
        offsets=(4, 5),
        predictions={"like": np.array([0.7, 0.3, 0.9])},
        score=np.array([70.0, 30.0, 90.0]),
    )


def test_keeping_and_taking_move_every_column_alike() -> None:
    for kept in (some().keep(np.array([True, False, True])), some().take(np.array([0, 2]))):
        assert (len(kept), kept.rows.tolist(), kept.offsets) == (2, [7, 9], (4, 5))
        assert [kept.sources_of(place) for place in range(2)] == [("a",), ("a", "b")]
        assert kept.features is not None
        assert kept.score is not None
        assert kept.features.ravel().tolist() == [7.0, 9.0]
        assert kept.predictions["like"].tolist() == [0.7, 0.9]
        assert kept.score.tolist() == [70.0, 90.0]


def test_taking_gives_the_order_asked_for() -> None:
    assert some().take(np.array([2, 0, 1])).rows.tolist() == [9, 7, 3]


def test_columns_that_nobody_wrote_stay_unwritten() -> None:
    kept = Candidates(rows=np.array([1, 2]), sources=np.ones(2, dtype=np.uint32)).keep(np.array([False, True]))
    assert (kept.features, kept.score, kept.predictions) == (None, None, {})

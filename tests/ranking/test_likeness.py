"""Tests of likeness: 1 for the same, less for less in common, and a kernel."""

import numpy as np
import pytest

from reelrank.features.columns import VideoColumns
from reelrank.ranking.likeness import Likeness


def test_what_has_more_in_common_is_more_alike(columns: VideoColumns) -> None:
    alike = Likeness(columns, np.arange(11)).to(0)  # to its author also 3, 6, 9, to its sound 4, 8, under its tag all even ones; all are of one length
    assert alike[0] == 1.0
    assert alike[6] > alike[3] > alike[1]
    assert alike[8] > alike[2] > alike[1]


def test_it_is_a_kernel(columns: VideoColumns) -> None:
    matrix = Likeness(columns, np.arange(11)).matrix()
    assert np.array_equal(matrix, matrix.T)
    assert np.diag(matrix) == pytest.approx(np.ones(11))
    assert np.linalg.eigvalsh(matrix).min() > -1e-6
    assert Likeness(columns, np.empty(0, dtype=np.int64)).matrix().shape == (0, 0)

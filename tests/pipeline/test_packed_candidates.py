"""Candidates in few bytes, and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelrank.domain.candidate import Candidates
from reelrank.pipeline.packed_candidates import pack, unpack


@settings(max_examples=50)
@given(st.dictionaries(st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1), max_size=50))
def test_candidates_come_back_as_they_were(proposed: dict[int, int]) -> None:
    rows = list(proposed)
    given_ = Candidates(rows=np.array(rows, dtype=np.int64), sources=np.array([proposed[row] for row in rows], dtype=np.uint32))
    found = unpack(pack(given_), ("one", "other"), {"ranker": "v1"})
    assert (found.rows.tolist(), found.sources.tolist()) == (rows, [proposed[row] for row in rows])
    assert (found.source_names, found.models, found.rows.dtype, found.sources.dtype) == (("one", "other"), {"ranker": "v1"}, np.int64, np.uint32)


def test_what_is_damaged_is_told() -> None:
    with pytest.raises(ValueError, match="packed candidates can't be read"):
        unpack(b"nonsense", (), {})

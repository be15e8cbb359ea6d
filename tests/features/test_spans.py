"""Which places spans cover."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reelrank.features.spans import covered


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6))))
def test_places_are_those_of_one_span_after_the_other(spans: list[tuple[int, int]]) -> None:
    start, size = (np.array([span[part] for span in spans], dtype=np.int64) for part in (0, 1))
    places, sizes = covered(start, start + size)
    assert places.tolist() == [place for first, count in spans for place in range(first, first + count)]
    assert sizes.tolist() == size.tolist()

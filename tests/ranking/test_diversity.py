"""Tests of diversity: what repeats those above makes room."""

import numpy as np
import pytest

from reelrank.features.columns import VideoColumns
from reelrank.ranking.diversity import MarginalRelevance
from reelrank.ranking.likeness import Likeness


def test_a_score_loses_what_it_shares_with_the_most_alike_above(columns: VideoColumns) -> None:
    likeness = Likeness(columns, np.arange(4))  # 3 is by the author of 0; under the tag of 1
    diversity = MarginalRelevance(likeness, 4, 4, 2.0)
    assert diversity.gains().tolist() == [0.0] * 4
    diversity.put(0)
    assert diversity.gains() == pytest.approx(-2.0 * likeness.to(0))
    diversity.put(1)
    assert diversity.gains() == pytest.approx(-2.0 * np.maximum(likeness.to(0), likeness.to(1)))


def test_without_strength_nothing_is_lost(columns: VideoColumns) -> None:
    diversity = MarginalRelevance(Likeness(columns, np.arange(4)), 4, 4, 0.0)
    diversity.put(2)
    assert not diversity.gains().any()

"""Similar content: what shares author, sound and tags with the last videos comes first, a video of this moment too."""

import numpy as np
import pytest

from candidates.small_app import DAY, SmallApp
from reelrank.candidates.eligible import Eligible
from reelrank.candidates.similar_content import SimilarContentSource


@pytest.fixture
def source(app: SmallApp) -> SimilarContentSource:
    """Twenty videos of twenty authors under the tag `everything`, and a few that share more."""
    for row in range(20):
        app.publish(f"any {row}", author=f"author {row}", tags=["everything"])
    app.publish("liked", author="ana", tags=["sourdough", "baking", "everything"])
    app.publish("of ana", author="ana", tags=["cats"])
    app.publish("of the craft", author="ben", tags=["sourdough", "baking"])
    app.publish("a little alike", author="cid", tags=["baking", "cats", "dogs", "birds", "fish"])
    return SimilarContentSource(app.columns, Eligible(app.columns, app.clock))


def test_what_shares_more_and_rarer_things_comes_first(app: SmallApp, source: SimilarContentSource) -> None:
    app.watches("u", "liked", ago_s=DAY)
    proposed = app.proposed(source, "u", quota=4)
    assert set(proposed[:2]) == {"of ana", "of the craft"}
    assert proposed[2] == "a little alike"
    assert "liked" not in app.proposed(source, "u", quota=50)


def test_a_video_of_this_moment_is_proposed_and_a_removed_one_is_not(app: SmallApp, source: SimilarContentSource) -> None:
    app.watches("u", "liked", ago_s=DAY)
    app.publish("just now", author="dan", tags=["sourdough", "baking", "everything"], age_s=0.0)
    assert app.proposed(source, "u", quota=3)[0] == "just now"
    app.remove("just now")
    assert "just now" not in app.proposed(SimilarContentSource(app.columns, Eligible(app.columns, app.clock)), "u", quota=50)


def test_nothing_is_proposed_to_somebody_who_liked_nothing_yet(app: SmallApp, source: SimilarContentSource) -> None:
    app.skips("u", "liked")
    assert app.proposed(source, "u") == app.proposed(source, "nobody") == []


def test_a_tag_of_many_videos_costs_no_more_than_its_newest_ones(app: SmallApp) -> None:
    app.publish(*[f"v{row}" for row in range(700)], tags=["everything"])
    app.watches("u", "v3", ago_s=DAY)
    source = SimilarContentSource(app.columns, Eligible(app.columns, app.clock))
    rows = source.propose(app.query("u"), 1_000).rows
    assert set(rows) == set(range(700 - 256, 700))
    np.testing.assert_array_equal(rows, np.sort(rows)[::-1])  # all alike: the newest first

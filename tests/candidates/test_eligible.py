"""Which videos may be found: not the removed ones, not the stale ones, and whatever came since anybody looked."""

from dataclasses import replace

import numpy as np

from candidates.small_app import DAY, SmallApp
from reelrank.candidates.eligible import Eligible
from reelrank.candidates.row_bits import flags_of
from reelrank.domain.params import FeedParams


def found(app: SmallApp, eligible: Eligible, stale_after_days: float = 365.0) -> list[bool]:
    query = replace(app.query("me"), params=FeedParams(stale_after_s=stale_after_days * DAY))
    return flags_of(eligible.bits(query), np.arange(app.columns.count)).tolist()


def test_removed_and_stale_videos_are_not_eligible(app: SmallApp) -> None:
    app.publish("up", "removed")
    app.publish("old", age_s=40 * DAY)
    app.remove("removed")
    eligible = Eligible(app.columns, app.clock)
    assert found(app, eligible) == [True, False, True]
    assert found(app, eligible, stale_after_days=30) == [True, False, False]


def test_what_changes_is_known_after_the_next_refresh_and_what_is_new_at_once(app: SmallApp) -> None:
    app.publish("a", "b")
    eligible = Eligible(app.columns, app.clock)
    assert found(app, eligible) == [True, True]
    app.remove("b")
    app.publish(*[f"new {number}" for number in range(20)])
    assert found(app, eligible) == [True, True] + [True] * 20
    eligible.refresh()
    assert found(app, eligible) == [True, False] + [True] * 20

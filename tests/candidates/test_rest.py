"""The rest of the catalogue: the newest first, through all of it, and why there is none."""

import pytest

from candidates.small_app import HOUR, SmallApp
from reelrank.candidates import rest
from reelrank.candidates.rest import RestSource
from reelrank.ranking.filters import BlockedFilter, SeenFilter


@pytest.fixture
def source(app: SmallApp) -> RestSource:
    for number in range(9):
        app.publish(f"v{number}", author=f"author {number % 3}", age_s=HOUR)
    return RestSource(app.columns, [SeenFilter(), BlockedFilter(app.columns)])


@pytest.mark.parametrize("at_a_time", [1, 2, 4, 100])
def test_the_newest_that_may_be_shown_are_proposed_however_many_before_them_may_not(
    app: SmallApp, source: RestSource, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "_AT_A_TIME", at_a_time)
    assert app.proposed(source, "u", quota=3) == ["v8", "v7", "v6"]
    app.watches("u", "v8", "v6", "v5", ago_s=60.0)
    app.remove("v4")
    assert app.proposed(source, "u", quota=3) == ["v7", "v3", "v2"]
    assert app.proposed(source, "u", quota=50) == ["v7", "v3", "v2", "v1", "v0"]


def test_why_there_is_nothing_adds_up_to_all_that_is_published(app: SmallApp, source: RestSource) -> None:
    app.watches("u", "v0", "v1", "v2", "v4", ago_s=60.0)
    app.remove("v8")
    seen, unproposed = "was on this user's screen before", "was proposed by no source"
    assert source.why_nothing(app.query("u")) == {seen: 4, unproposed: 4}
    app.watches("u", "v3", "v5", "v6", "v7", ago_s=30.0)
    assert source.why_nothing(app.query("u")) == {seen: 8}


def test_of_an_empty_catalogue_there_is_nothing_to_say(app: SmallApp) -> None:
    assert RestSource(app.columns, [SeenFilter()]).why_nothing(app.query("u")) == {}

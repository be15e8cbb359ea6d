"""Tests of how things go on a surface, in a world where all of it is known."""

import math

import pytest

from features.folded_world import NOW, World
from features.test_encoding import encoded, named
from reelrank.domain.event import Context, Event, Skip, Watch

SEARCH, FEED = Context(surface="search"), Context()


def looped(name: str, video: int, context: Context, ago_s: float = 0.0) -> Event:
    """A watch of 20 seconds: all of the world's videos are shorter."""
    return Watch(event_id=name, user_id=f"u{name}", video_id=f"v{video}", watched_s=20.0, occurred_at=NOW - ago_s, context=context)


def test_a_surface_has_rates_of_its_own_for_everything_for_a_length_and_for_a_video(world: World) -> None:
    world.see(*(looped(f"{number}", 0, SEARCH) for number in range(6)), looped("old", 0, SEARCH, 90_000))
    world.see(*(Skip(event_id=f"s{number}", user_id=f"s{number}", video_id="v0", occurred_at=NOW, context=FEED) for number in range(6)))
    search, feed = (named(encoded(world, "ana", 0, context=context)[0]) for context in (SEARCH, FEED))
    surface = (7 + 50 * search["app_click_rate"]) / 57
    assert search["surface_click_rate"] == pytest.approx(surface)
    assert search["surface_click_rate_1d"] == pytest.approx((6 + 20 * surface) / 26)
    assert search["surface_length_click_rate"] == pytest.approx((7 + 30 * surface) / 37)
    assert search["surface_length_watch_ratio"] == pytest.approx((7 * 2 + 30 * 0.5) / 37)
    assert search["video_surface_outcomes"] == pytest.approx(math.log(8))
    assert search["video_surface_click_rate"] == pytest.approx((7 + 10 * search["video_click_rate"]) / 17)
    assert search["video_surface_watch_ratio"] == pytest.approx((7 * 2 + 10 * search["video_watch_ratio"]) / 17)
    assert search["video_watch_ratio"] == pytest.approx((7 * 2 + 15 * search["surface_length_watch_ratio"]) / 28)
    assert search["surface_long_view_rate"] > search["app_long_view_rate"] > feed["surface_long_view_rate"]
    assert search["video_surface_long_view_rate"] > search["video_long_view_rate"] > feed["video_surface_long_view_rate"]


def test_on_a_surface_that_nobody_has_heard_of_things_go_as_everywhere(world: World) -> None:
    world.see(*(looped(f"{number}", 0, SEARCH) for number in range(6)))
    (found,) = (named(one) for one in encoded(world, "ana", 0, context=Context(surface="unheard of")))
    assert found["surface_click_rate"] == found["surface_length_click_rate"] == pytest.approx(found["app_click_rate"])
    assert found["video_surface_long_view_rate"] == pytest.approx(found["video_long_view_rate"])
    assert found["video_surface_outcomes"] == 0

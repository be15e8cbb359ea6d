"""Tests of a user's habits, in a world where all of them are known."""

import math

import pytest

from features.folded_world import NOW, World
from features.test_encoding import encoded, named
from reelrank.domain.event import Context, Event, History, Served, ServedVideo, Skip, Watch
from reelrank.features.history import SETTLED_S

SEARCH = Context(surface="search")
DAY_S = 86_400.0


def watched(name: str, video: int, ago_s: float, watched_s: float = 60.0, context: Context | None = None) -> Event:
    return Watch(event_id=name, user_id="ana", video_id=f"v{video}", watched_s=watched_s, occurred_at=NOW - ago_s, context=context)


def skipped(name: str, video: int, ago_s: float, context: Context | None = None) -> Event:
    return Skip(event_id=name, user_id="ana", video_id=f"v{video}", occurred_at=NOW - ago_s, context=context)


def test_only_what_has_settled_counts(world: World) -> None:
    world.see(watched("1", 0, DAY_S), skipped("2", 1, DAY_S - 60), watched("3", 2, SETTLED_S + 1, 1.0))
    settled = named(encoded(world, "ana", 0)[0])
    assert settled["user_timed_click_rate"] == pytest.approx((2 + 8 * settled["app_click_rate"]) / 11)
    assert settled["user_timed_long_view_rate"] == pytest.approx((1 + 8 * settled["app_long_view_rate"]) / 11)
    assert settled["user_length_outcomes"] == pytest.approx(math.log(3))
    world.see(watched("4", 0, SETTLED_S - 1), watched("5", 1, 5))
    app = named(encoded(world, "ana", 0)[0])
    assert app["user_timed_click_rate"] == pytest.approx((2 + 8 * app["app_click_rate"]) / 11)
    assert app["user_length_outcomes"] == settled["user_length_outcomes"]


def test_a_video_watched_again_and_again_counts_for_three_times_its_duration_at_most(world: World) -> None:
    world.see(watched("1", 0, DAY_S, 500.0), watched("2", 0, DAY_S - 10, 5.0))
    assert named(encoded(world, "ana", 1)[0])["user_watch_ratio"] == pytest.approx((3 + 0.5 + 8 * 0.5) / 10)


def test_what_a_video_has_in_common_with_the_last_one_is_told(world: World) -> None:
    world.see(skipped("1", 0, 60), watched("2", 2, 50, 6.0, SEARCH))
    same_author, same_tag, neither = (named(one) for one in encoded(world, "ana", 0, 3, 1, context=SEARCH))
    assert [same_author[f"previous_same_{what}"] for what in ("author", "tag", "surface")] == [1, 0, 1]
    assert [same_tag[f"previous_same_{what}"] for what in ("author", "tag", "surface")] == [0, 1, 1]
    assert [neither[f"previous_same_{what}"] for what in ("author", "tag", "surface")] == [0, 1, 1]
    assert named(encoded(world, "ana", 0)[0])["previous_same_surface"] == 0


def test_somebody_goes_differently_on_another_surface_and_with_another_length(world: World) -> None:
    world.see(watched("1", 0, DAY_S, context=SEARCH), watched("2", 1, DAY_S - 9, context=SEARCH))
    world.see(skipped("3", 3, DAY_S - 20, Context()), skipped("4", 4, DAY_S - 30))
    long, short = (named(one) for one in encoded(world, "ana", 4, 0, context=SEARCH))
    usual = long["user_timed_click_rate"]
    assert long["user_surface_outcomes"] == pytest.approx(math.log(3))
    assert long["user_surface_click_rate"] == pytest.approx((2 + 4 * usual) / 6)
    assert long["user_length_click_rate"] == pytest.approx(4 * usual / 6)
    assert short["user_length_click_rate"] == pytest.approx((2 + 4 * usual) / 6)
    feed, unheard = (named(encoded(world, "ana", 4, context=Context(surface=surface))[0]) for surface in ("for_you", "unheard of"))
    assert feed["user_surface_click_rate"] == pytest.approx(4 * usual / 5)
    assert (unheard["user_surface_outcomes"], unheard["user_surface_click_rate"]) == (0, pytest.approx(usual))


def test_a_base_history_says_how_much_of_it_was_watched_for_long_and_nothing_of_when(world: World) -> None:
    world.see(History(event_id="1", user_id="ana", occurred_at=NOW - DAY_S, watched=("v0", "v1", "v2"), long_viewed=("v1",)))
    found = named(encoded(world, "ana", 0)[0])
    assert found["history_watches"] == pytest.approx(math.log(4))
    assert found["history_long_view_share"] == pytest.approx((1 + 3 * found["app_long_view_rate"]) / 6)
    assert found["user_timed_click_rate"] == pytest.approx(found["app_click_rate"])
    assert (found["user_length_outcomes"], found["previous_same_author"]) == (0, 0)


def test_slates_of_the_last_minutes_are_counted(world: World) -> None:
    videos = (ServedVideo(video_id="v0"), ServedVideo(video_id="v1"))
    world.see(*(Served(event_id=f"{ago_s}", user_id="ana", policy="test", videos=videos, occurred_at=NOW - ago_s) for ago_s in (700, 590, 20)))
    found = named(encoded(world, "ana", 0)[0])
    assert (found["since_served"], found["served_10min"]) == (pytest.approx(math.log(21)), pytest.approx(math.log(5)))

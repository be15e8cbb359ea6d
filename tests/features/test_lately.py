"""Tests of what a user did up to this moment, in a world where all of it is known."""

import math

import pytest

from features.folded_world import NOW, World
from features.test_encoding import encoded, named
from reelrank.domain.event import Context, Event, History, Served, ServedVideo, Skip, Watch

SEARCH = Context(surface="search")


def watched(name: str, video: int, ago_s: float, watched_s: float = 60.0, context: Context | None = None) -> Event:
    return Watch(event_id=name, user_id="ana", video_id=f"v{video}", watched_s=watched_s, occurred_at=NOW - ago_s, context=context)


def skipped(name: str, video: int, ago_s: float, context: Context | None = None) -> Event:
    return Skip(event_id=name, user_id="ana", video_id=f"v{video}", occurred_at=NOW - ago_s, context=context)


def test_windows_hold_what_was_done_in_them(world: World) -> None:
    world.see(watched("1", 0, 90_000), watched("2", 1, 4_000), skipped("3", 1, 1_000), watched("4", 2, 300, 1.0), watched("5", 3, 30))
    found = named(encoded(world, "ana", 0)[0])
    counts = {name: round(math.expm1(found[f"user_outcomes_{name}"])) for name in ("1d", "30min", "10min", "1min")}
    assert counts == {"1d": 4, "30min": 3, "10min": 2, "1min": 1}
    usual_click, usual_long = (4 + 8 * found["app_click_rate"]) / 13, (3 + 8 * found["app_long_view_rate"]) / 13
    assert found["user_click_rate_now"] == pytest.approx(usual_click)
    assert found["user_long_view_rate_now"] == pytest.approx(usual_long)
    assert found["user_click_rate_30min"] == pytest.approx((2 + 2 * usual_click) / 5)
    assert found["user_long_view_rate_10min"] == pytest.approx((1 + 2 * usual_long) / 4)
    assert found["user_click_rate_1min"] == pytest.approx((1 + 2 * usual_click) / 3)


def test_a_video_watched_again_and_again_counts_for_three_times_its_duration_at_most(world: World) -> None:
    world.see(watched("1", 0, 60, 500.0), watched("2", 0, 50, 5.0))
    assert named(encoded(world, "ana", 1)[0])["user_watch_ratio"] == pytest.approx((3 + 0.5 + 8 * 0.5) / 10)


def test_the_last_outcome_is_told_with_what_it_has_in_common(world: World) -> None:
    world.see(skipped("1", 0, 60), watched("2", 2, 50, 6.0, SEARCH))
    same_author, same_tag, neither = (named(one) for one in encoded(world, "ana", 0, 3, 1, context=SEARCH))
    assert [same_author[f"previous_same_{what}"] for what in ("author", "tag", "surface")] == [1, 0, 1]
    assert [same_tag[f"previous_same_{what}"] for what in ("author", "tag", "surface")] == [0, 1, 1]
    assert [neither[f"previous_same_{what}"] for what in ("author", "tag", "surface")] == [0, 1, 1]
    assert (neither["previous_click"], neither["previous_long_view"], neither["previous_watch_ratio"]) == (1, 0, 0.5)
    assert named(encoded(world, "ana", 0)[0])["previous_same_surface"] == 0


def test_somebody_goes_differently_on_another_surface_and_with_another_length(world: World) -> None:
    world.see(watched("1", 0, 60, context=SEARCH), watched("2", 1, 50, context=SEARCH), skipped("3", 3, 40, Context()), skipped("4", 4, 30))
    long, short = (named(one) for one in encoded(world, "ana", 4, 0, context=SEARCH))
    usual = long["user_click_rate_now"]
    assert long["user_surface_outcomes"] == pytest.approx(math.log(3))
    assert long["user_surface_click_rate"] == pytest.approx((2 + 4 * usual) / 6)
    assert long["user_length_click_rate"] == pytest.approx(4 * usual / 6)
    assert short["user_length_click_rate"] == pytest.approx((2 + 4 * usual) / 6)
    feed, unheard = (named(encoded(world, "ana", 4, context=Context(surface=surface))[0]) for surface in ("for_you", "unheard of"))
    assert feed["user_surface_click_rate"] == pytest.approx(4 * usual / 5)
    assert (unheard["user_surface_outcomes"], unheard["user_surface_click_rate"]) == (0, pytest.approx(usual))


def test_a_base_history_says_how_much_of_it_was_watched_for_long_and_nothing_of_lately(world: World) -> None:
    world.see(History(event_id="1", user_id="ana", occurred_at=NOW - 5, watched=("v0", "v1", "v2"), long_viewed=("v1",)))
    found = named(encoded(world, "ana", 0)[0])
    assert found["history_watches"] == pytest.approx(math.log(4))
    assert found["history_long_view_share"] == pytest.approx((1 + 3 * found["app_long_view_rate"]) / 6)
    assert found["user_click_rate_now"] == pytest.approx(found["app_click_rate"])
    assert (found["user_outcomes_1min"], found["user_length_outcomes"], found["previous_same_author"]) == (0, 0, 0)


def test_slates_of_the_last_minutes_are_counted(world: World) -> None:
    videos = (ServedVideo(video_id="v0"), ServedVideo(video_id="v1"))
    world.see(*(Served(event_id=f"{ago_s}", user_id="ana", policy="test", videos=videos, occurred_at=NOW - ago_s) for ago_s in (700, 590, 20)))
    found = named(encoded(world, "ana", 0)[0])
    assert (found["since_served"], found["served_10min"]) == (pytest.approx(math.log(21)), pytest.approx(math.log(5)))

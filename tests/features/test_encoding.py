"""Tests of the feature matrix in worlds where every number is known."""

import math
import tempfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.folded_world import NOW, VIDEOS, World, rows
from features.test_stream import events
from reelrank.domain.event import Context, Event, Impression, Like, Served, ServedVideo, Skip, Unlike, Watch
from reelrank.domain.params import FeedParams
from reelrank.domain.video import Rendition
from reelrank.features.definitions import COLUMN, FEATURES, SHARED, WIDTH
from reelrank.features.encoding import encode

PARAMS = FeedParams(taste_half_life_s=86_400.0)
HERE = Context()


def encoded(world: World, user_id: str, *videos: int, now: float = NOW, context: Context = HERE) -> np.ndarray:
    wanted = rows(*videos)
    reading = world.reader.read((world.user(user_id),), np.zeros_like(wanted), wanted, np.array([now]), (context,))
    return encode(reading, world.columns, (context,), PARAMS)


def named(features: np.ndarray) -> dict[str, float]:
    return {name: float(features[column]) for name, column in COLUMN.items()}


def watched(
    name: str, video: int, watched_s: float = 60.0, user_id: str = "ana", ago_s: float = 0.0, place: str = "", stalled_s: float = 0.0
) -> Event:  # fmt: skip
    context = Context(place=place)
    return Watch(event_id=name, user_id=user_id, video_id=f"v{video}", watched_s=watched_s, occurred_at=NOW - ago_s, context=context, stalled_s=stalled_s)


def app_average(click: float, long_view: float) -> float:
    """What an outcome is worth on average where so many of them are watches and long views."""
    return long_view + 0.2 * (click - long_view) - 0.5 * (1 - click)


def test_the_matrix_has_a_column_for_every_definition(world: World) -> None:
    features = encoded(world, "ana", 0, 1, 2)
    assert features.shape == (3, WIDTH) == (3, len(FEATURES))
    assert features.dtype == np.float32
    assert encoded(world, "ana").shape == (0, WIDTH)


def test_what_is_shared_is_the_same_for_all_candidates_of_a_request(world: World) -> None:
    served = Served(event_id="s", user_id="ana", policy="test", videos=tuple(ServedVideo(video_id=f"v{video}") for video in range(3)), occurred_at=NOW - 9)
    world.see(*(watched(f"{video}", video, ago_s=50_000.0 - 9 * video, stalled_s=float(video), place="x") for video in range(4)), served)
    features = encoded(world, "ana", *range(len(VIDEOS)), context=Context(local_hour=7, bandwidth_kbps=999, surface="for you", device="phone", place="x"))
    differ = {name for name, column in COLUMN.items() if np.ptp(features[:, column]) > 0}
    assert not differ & {FEATURES[column].name for column in SHARED}
    assert np.ptp(np.delete(features, SHARED, axis=1), axis=0).max() > 0


def test_a_world_without_events_has_only_guesses(world: World) -> None:
    guesses = named(encoded(world, "ana", 1, context=Context(local_hour=7, bandwidth_kbps=999))[0])
    expected = dict.fromkeys(COLUMN, 0.0)
    expected |= {"app_like_rate": 0.02, "user_like_rate": 0.02, "video_like_rate": 0.02, "video_completion_rate": 0.25}
    expected |= dict.fromkeys([name for name in COLUMN if "click_rate" in name], 0.5)
    expected |= dict.fromkeys([name for name in COLUMN if "long_view_rate" in name], 0.3)
    expected |= dict.fromkeys([name for name in COLUMN if "watch_ratio" in name], 0.5)
    expected |= {"history_long_view_share": 0.3, "since_served": -1.0}
    expected |= {"duration": math.log(12), "age": math.log(2), "local_hour": 7.0, "bandwidth": math.log(1_000)}
    expected |= {"local_weekday": 6.0, "idle": -1.0}  # NOW is a Sunday
    assert guesses == pytest.approx(expected, abs=1e-6)


def test_rates_are_counts_smoothed_by_those_behind_them(world: World) -> None:
    world.see(watched("1", 0), watched("2", 0, 1.0), Skip(event_id="3", user_id="ben", video_id="v0", occurred_at=NOW))
    world.see(Like(event_id="4", user_id="ana", video_id="v0", occurred_at=NOW), Impression(event_id="5", user_id="ben", video_id="v0", occurred_at=NOW))
    found = named(encoded(world, "ana", 0)[0])
    app_click, app_long, app_like = 52 / 103, 31 / 103, 3 / 103
    author_click, author_long = (2 + 20 * app_click) / 23, (1 + 20 * app_long) / 23
    video_long = (1 + 15 * author_long) / 18
    assert found["app_click_rate"] == pytest.approx(app_click)
    assert found["app_like_rate"] == pytest.approx(app_like)
    assert found["author_long_view_rate"] == pytest.approx(author_long)
    assert found["sound_long_view_rate"] == found["tag_long_view_rate"] == pytest.approx(author_long)  # the same three outcomes
    assert found["video_click_rate"] == pytest.approx((2 + 15 * author_click) / 18)
    assert found["video_long_view_rate"] == pytest.approx(video_long)
    assert found["video_long_view_rate_1d"] == pytest.approx((1 + 10 * video_long) / 13)
    assert found["video_long_view_rate_1h"] == pytest.approx((1 + 10 * (1 + 10 * video_long) / 13) / 13)
    assert found["author_click_rate"] == pytest.approx(author_click)
    assert found["video_outcomes"] == pytest.approx(math.log(4))
    assert found["video_impressions_1h"] == pytest.approx(math.log(2))
    assert found["video_velocity"] == found["tag_velocity"] == found["sound_velocity"] > 0.5
    assert found["user_outcomes"] == pytest.approx(math.log(3))
    assert found["user_long_view_rate"] == pytest.approx(app_long)  # too lately to count
    settled = named(encoded(world, "ana", 0, now=NOW + 13 * 3_600)[0])
    assert settled["user_long_view_rate"] == pytest.approx((1 + 8 * app_long) / 10)
    assert settled["user_like_rate"] == pytest.approx((1 + 8 * app_like) / 10)
    other = named(encoded(world, "ana", 3)[0])
    assert other["video_long_view_rate"] == pytest.approx(app_long)
    assert other["video_impressions_1h"] == other["video_outcomes"] == 0


def test_likes_taken_back_that_nobody_gave_are_no_likes(world: World) -> None:
    world.see(*(Unlike(event_id=f"{number}", user_id=f"u{number}", video_id="v0", occurred_at=NOW) for number in range(9)))
    untouched, taken_back = (named(one) for one in encoded(world, "ana", 3, 0))
    assert taken_back["app_like_rate"] == pytest.approx(0.02)
    assert taken_back["video_like_rate"] == untouched["video_like_rate"]


def test_evidence_for_a_tag_is_a_taste_for_its_videos(world: World) -> None:
    world.see(watched("1", 1), Skip(event_id="2", user_id="ana", video_id="v0", occurred_at=NOW))
    dogs, cats, untagged = encoded(world, "ana", 2, 0, 4)[:, COLUMN["taste_tag"]]
    average = (1.0 - 0.5 + 20 * app_average(51 / 102, 31 / 102)) / (2 + 20)
    assert dogs == pytest.approx((1.0 - average) / 3)
    assert cats == pytest.approx((-0.5 - average) / 3)
    assert untagged == 0
    assert encoded(world, "ben", 2)[0, COLUMN["taste_tag"]] == 0


def test_a_taste_fades_with_its_half_life(world: World) -> None:
    world.see(watched("1", 1))
    for days in (0, 1, 2):
        weight = 0.5**days
        average = (weight + 20 * app_average(51 / 101, 31 / 101)) / (weight + 20)
        expected = weight * (1.0 - average) / (weight + 2)
        found = named(encoded(world, "ana", 3, now=NOW + days * 86_400)[0])
        assert found["taste_tag"] == found["taste_author"] == pytest.approx(expected)


def test_a_like_speaks_for_the_author_and_the_sound(world: World) -> None:
    world.see(Like(event_id="1", user_id="ana", video_id="v0", occurred_at=NOW))
    same_author_and_sound, same_sound, neither = (named(one) for one in encoded(world, "ana", 2, 1, 3))
    assert (
        same_author_and_sound["taste_author"]
        == same_sound["taste_sound"]
        == same_author_and_sound["taste_sound"]
        == pytest.approx(3 * (2 - app_average(0.5, 0.3)) / 5)
    )
    assert same_sound["taste_author"] == neither["taste_author"] == neither["taste_sound"] == 0


def test_users_in_one_reading_do_not_see_each_other(world: World) -> None:
    world.see(watched("1", 1), watched("2", 0, user_id="ben", ago_s=500), Like(event_id="3", user_id="ben", video_id="v3", occurred_at=NOW))
    world.see(watched("4", 2, user_id="ben", ago_s=90_000), watched("5", 3, ago_s=50_000), watched("6", 2, user_id="ben", ago_s=3_000, place="Rome"))
    contexts = (Context(local_hour=3, place="Rome", device="iPad", surface="search"), Context(bandwidth_kbps=50, network="LTE", local_weekday=2))
    wanted, owner = rows(0, 2, 3, 0, 4), rows(1, 0, 1, 0, 0)
    moments = np.array([NOW + 60, NOW + 7_200])
    together = encode(world.reader.read(world.reader.users(("ana", "ben")), owner, wanted, moments, contexts), world.columns, contexts, PARAMS)
    for place, (row, who) in enumerate(zip(wanted.tolist(), owner.tolist(), strict=True)):
        alone = encoded(world, ("ana", "ben")[who], row, now=float(moments[who]), context=contexts[who])
        assert together[place].tobytes() == alone[0].tobytes()


def test_the_client_says_where_and_how_somebody_watches(world: World) -> None:
    said = named(encoded(world, "ana", 1, context=Context(local_weekday=2, device="Pixel 9", network="LTE", place="Rome"))[0])
    assert (said["local_weekday"], said["device"], said["network"], said["same_place"]) == (2, 1, 4, 1)
    unsaid = named(encoded(world, "ana", 1, now=NOW + 86_400)[0])
    assert (unsaid["local_weekday"], unsaid["local_hour"], unsaid["device"], unsaid["network"], unsaid["same_place"]) == (0, -1, 0, 0, 0)


def test_a_video_has_a_rate_and_a_velocity_of_its_own_where_the_user_is(world: World) -> None:
    world.see(*[watched(f"Rome {number}", 1, user_id=f"u{number}", place="Rome") for number in range(9)])
    world.see(*[watched(f"Oslo {number}", 1, watched_s=1.0, user_id=f"o{number}", place="Oslo") for number in range(9)])
    rome, oslo, nowhere = (named(encoded(world, "ana", 1, context=Context(place=place))[0]) for place in ("Rome", "Oslo", ""))
    everywhere = nowhere["place_long_view_rate"]
    assert everywhere == nowhere["video_long_view_rate"]
    assert rome["place_long_view_rate"] == pytest.approx((9 + 10 * everywhere) / 19)
    assert oslo["place_long_view_rate"] == pytest.approx(10 * everywhere / 19)
    assert rome["place_outcomes"] == pytest.approx(math.log(10))
    assert rome["place_velocity"] > 1 > nowhere["place_velocity"] == nowhere["place_outcomes"] == 0


def test_without_a_place_in_the_context_somebody_is_where_they_were_last(world: World) -> None:
    world.see(watched("1", 1, place="Rome"))
    there = named(encoded(world, "ana", 1)[0])
    assert there["same_place"] == 1
    assert there["place_outcomes"] == pytest.approx(math.log(2))
    assert there["user_place_share"] == pytest.approx(1 / 6)
    assert named(encoded(world, "ana", 0)[0])["user_place_share"] == 0


def test_who_waits_for_data_has_a_share_of_stalls_and_so_has_the_video(world: World) -> None:
    world.see(watched("1", 0, watched_s=100.0, stalled_s=100.0), watched("2", 1, watched_s=100.0, user_id="ben"))
    everyones = 1_000 / (1_000 + 2_000 + 3_000)
    stalling, smooth = named(encoded(world, "ana", 0)[0]), named(encoded(world, "ben", 1)[0])
    assert stalling["user_stalls"] == stalling["video_stalls"] == pytest.approx((1_000 + 3_000 * everyones) / 5_000)
    assert smooth["user_stalls"] == smooth["video_stalls"] == pytest.approx(3_000 * everyones / 4_000)


def test_the_best_rendition_is_held_against_the_bandwidth(world: World) -> None:
    ladder = (Rendition("small.mp4", 500, 360, 640), Rendition("large.mp4", 4_000, 1_080, 1_920))
    world.catalog.publish([msgspec.structs.replace(VIDEOS[3], renditions=ladder)])
    world.columns.refresh()
    fits = {kbps: named(encoded(world, "ana", 3, context=Context(bandwidth_kbps=kbps))[0])["rendition_fit"] for kbps in (5_000, 2_500, 1, None)}
    assert fits == {5_000: pytest.approx(0, abs=1e-6), 2_500: pytest.approx(-1), 1: -4, None: 0}
    assert encoded(world, "ana", 3)[0, COLUMN["video_height"]] == pytest.approx(1.92)
    assert encoded(world, "ana", 1, context=Context(bandwidth_kbps=1))[0, COLUMN["rendition_fit"]] == 0


def test_the_fastest_tag_gives_a_video_its_tag_velocity(world: World) -> None:
    world.see(*[watched(f"{number}", 0, user_id=f"u{number}", ago_s=4_000 + 500 * number) for number in range(40)])
    fallen = named(encoded(world, "ana", 0)[0])
    assert fallen["tag_velocity"] < 0
    world.see(*[watched(f"d{number}", 1, user_id=f"u{number}", ago_s=number) for number in range(9)])
    quick, none = encoded(world, "ana", 3, 4)[:, COLUMN["tag_velocity"]]
    assert quick > 1 > none == 0


@settings(max_examples=25)
@given(events(), st.sampled_from([NOW - 1e7, NOW, NOW + 1.0, NOW + 1e9]))
def test_no_state_gives_anything_but_numbers(happened: list[Event], now: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.see(*happened)
        for user in ("u0", "nobody"):
            features = encoded(world, user, 0, 1, 2, 3, 4, now=now)
            assert np.isfinite(features).all()
            rates = features[:, [column for name, column in COLUMN.items() if name.endswith("_rate") or "_rate_" in name]]
            assert ((rates >= 0) & (rates <= 1)).all()
        world.close()

"""Tests of the feature matrix in worlds where every number is known."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.folded_world import NOW, World, rows
from features.test_stream import events
from reelrank.domain.event import Context, Event, Impression, Like, Skip, Watch
from reelrank.domain.params import FeedParams
from reelrank.features.definitions import COLUMN, FEATURES, WIDTH
from reelrank.features.encoding import encode

PARAMS = FeedParams(taste_half_life_s=86_400.0)
HERE = Context()


def encoded(world: World, user_id: str, *videos: int, now: float = NOW, context: Context = HERE) -> np.ndarray:
    wanted = rows(*videos)
    reading = world.reader.read((world.user(user_id),), np.zeros_like(wanted), wanted)
    return encode(reading, world.columns, np.full(len(wanted), now), (context,), PARAMS)


def named(features: np.ndarray) -> dict[str, float]:
    return {name: float(features[column]) for name, column in COLUMN.items()}


def watched(name: str, video: int, watched_s: float = 60.0, user_id: str = "ana", ago_s: float = 0.0) -> Event:
    return Watch(event_id=name, user_id=user_id, video_id=f"v{video}", watched_s=watched_s, occurred_at=NOW - ago_s)


def app_average(click: float, long_view: float) -> float:
    """What an outcome is worth on average where so many of them are watches and long views."""
    return long_view + 0.2 * (click - long_view) - 0.5 * (1 - click)


def test_the_matrix_has_a_column_for_every_definition(world: World) -> None:
    features = encoded(world, "ana", 0, 1, 2)
    assert features.shape == (3, WIDTH) == (3, len(FEATURES))
    assert features.dtype == np.float32
    assert encoded(world, "ana").shape == (0, WIDTH)


def test_a_world_without_events_has_only_guesses(world: World) -> None:
    guesses = named(encoded(world, "ana", 1, context=Context(local_hour=7, bandwidth_kbps=999))[0])
    expected = dict.fromkeys(COLUMN, 0.0)
    expected |= {"app_click_rate": 0.5, "user_click_rate": 0.5, "video_click_rate": 0.5}
    expected |= {"app_like_rate": 0.02, "user_like_rate": 0.02, "video_like_rate": 0.02, "video_completion_rate": 0.25}
    expected |= dict.fromkeys([name for name in COLUMN if "long_view_rate" in name], 0.3)
    expected |= {"duration": math.log(12), "age": math.log(2), "local_hour": 7.0, "bandwidth": math.log(1_000)}
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
    assert found["video_outcomes"] == pytest.approx(math.log(4))
    assert found["video_impressions_1h"] == pytest.approx(math.log(2))
    assert found["video_velocity"] == pytest.approx(math.log(4 / (3 / 24 + 1)))
    assert found["user_outcomes"] == pytest.approx(math.log(3))
    assert found["user_long_view_rate"] == pytest.approx(app_long)  # too lately to count
    settled = named(encoded(world, "ana", 0, now=NOW + 13 * 3_600)[0])
    assert settled["user_long_view_rate"] == pytest.approx((1 + 8 * app_long) / 10)
    assert settled["user_like_rate"] == pytest.approx((1 + 8 * app_like) / 10)
    other = named(encoded(world, "ana", 3)[0])
    assert other["video_long_view_rate"] == pytest.approx(app_long)
    assert other["video_impressions_1h"] == other["video_outcomes"] == 0


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
    contexts = (Context(local_hour=3), Context(bandwidth_kbps=50))
    wanted, owner = rows(0, 2, 3, 0, 4), rows(1, 0, 1, 0, 0)
    moments = np.where(owner == 0, NOW + 60, NOW + 7_200)
    together = encode(world.reader.read(world.reader.users(("ana", "ben")), owner, wanted), world.columns, moments, contexts, PARAMS)
    for place, (row, who) in enumerate(zip(wanted.tolist(), owner.tolist(), strict=True)):
        alone = encoded(world, ("ana", "ben")[who], row, now=float(moments[place]), context=contexts[who])
        assert together[place].tobytes() == alone[0].tobytes()


@settings(deadline=None, max_examples=25)
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

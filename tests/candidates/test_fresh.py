"""Tests of the fresh source."""

import numpy as np
import pytest

from candidates.small_app import DAY, HOUR, SmallApp
from reelrank.candidates import fresh
from reelrank.candidates.fresh import FreshSource
from reelrank.domain.params import FeedParams
from reelrank.storage import counter_store


def test_the_newest_comes_first_and_what_nobody_saw_second(app: SmallApp) -> None:
    app.publish("unseen", age_s=9 * HOUR)
    app.publish("newest", "middle", age_s=HOUR)
    for person in range(60):
        app.watches(f"person {person}", "newest", "middle")
    source = FreshSource(app.columns, app.reader, app.clock)
    assert app.proposed(source, "me", quota=2) == ["middle", "unseen"]


def test_old_videos_are_not_fresh(app: SmallApp) -> None:
    app.publish("old", age_s=60 * DAY)
    app.publish("new", age_s=DAY)
    source = FreshSource(app.columns, app.reader, app.clock)
    assert app.proposed(source, "me") == ["new"]


def test_a_video_published_after_the_start_is_proposed_at_once(app: SmallApp) -> None:
    app.publish("first")
    source = FreshSource(app.columns, app.reader, app.clock)
    app.publish("second", age_s=0)
    assert app.proposed(source, "me") == ["second", "first"]


def test_what_was_removed_or_seen_is_not_proposed(app: SmallApp) -> None:
    app.publish("removed", "seen", "left")
    source = FreshSource(app.columns, app.reader, app.clock)
    app.remove("removed")
    app.watches("me", "seen")
    assert app.proposed(source, "me") == ["left"]


def test_equally_unknown_videos_are_shown_to_different_people(app: SmallApp) -> None:
    app.publish(*[f"video {number}" for number in range(40)])
    source = FreshSource(app.columns, app.reader, app.clock)
    proposed = {tuple(app.proposed(source, "me", quota=4, seed=seed)[1::2]) for seed in range(5)}
    assert len(proposed) > 1
    assert app.proposed(source, "me", seed=3) == app.proposed(source, "me", seed=3)


def test_an_empty_catalogue_has_nothing_fresh(app: SmallApp) -> None:
    assert app.proposed(FreshSource(app.columns, app.reader, app.clock), "me") == []


def test_what_is_taken_in_between_two_refreshes_is_what_a_refresh_finds(app: SmallApp) -> None:
    app.publish("first", "second", age_s=9 * HOUR)
    for person in range(3):
        app.watches(f"person {person}", "second")
    source = FreshSource(app.columns, app.reader, app.clock)
    app.publish("late", age_s=DAY)
    app.publish("old", age_s=60 * DAY)
    app.publish("now", age_s=0)
    taken_in = app.proposed(source, "me")
    source.refresh()
    assert app.proposed(source, "me") == taken_in == ["now", "late", "second", "first"]


def test_after_its_first_impressions_a_video_is_proposed_as_long_as_it_beats_its_peers(app: SmallApp) -> None:
    app.publish("good", "bad", age_s=9 * HOUR)
    app.publish(*[f"newer {number}" for number in range(6)], age_s=HOUR)
    for person in range(60):
        app.watches(f"person {person}", "good")
        app.skips(f"person {person}", "bad")
    source = FreshSource(app.columns, app.reader, app.clock)
    proposed = app.proposed(source, "me", quota=6)
    assert "good" in proposed and "bad" not in proposed
    first, second = source.bars(FeedParams())
    assert 0.4 < first < 0.6  # half-way between one and nothing
    assert second == 0.0  # nobody has had as many


def test_a_pool_that_was_kept_is_to_the_bit_what_one_is_that_is_made_from_everything(app: SmallApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "_POOL", 5)
    monkeypatch.setattr(counter_store, "_TOUCHED_KEPT", 12)  # sometimes too much happens
    rng = np.random.default_rng(0)
    kept = FreshSource(app.columns, app.reader, app.clock)
    for step in range(40):
        app.publish(f"video {step}", age_s=float(rng.integers(0, 31)) * DAY)
        app.proposed(kept, "me")  # takes in what is new
        for video in rng.integers(0, step + 1, rng.integers(0, 9)):
            app.watches(f"person {step}", f"video {video}")
        if step % 4 == 3:
            app.remove(f"video {rng.integers(0, step + 1)}")
        app.clock.advance_to(app.clock.now() + 8 * HOUR)
        kept.refresh()
        made = FreshSource(app.columns, app.reader, app.clock)
        assert kept._pool.rows.tolist() == made._pool.rows.tolist()
        np.testing.assert_array_equal(kept._pool.counted, made._pool.counted)

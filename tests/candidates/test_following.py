"""Tests of the following source."""

from candidates.small_app import HOUR, SmallApp
from reelrank.candidates.following import FollowingSource


def test_the_latest_videos_of_followed_authors_come_newest_first(app: SmallApp) -> None:
    app.publish("old", author="ann", age_s=9 * HOUR)
    app.publish("of a stranger", author="bob", age_s=2 * HOUR)
    app.publish("new", author="cem", age_s=1 * HOUR)
    app.follows("me", "ann", "cem")
    source = FollowingSource(app.columns)
    assert app.proposed(source, "me") == ["new", "old"]
    assert app.proposed(source, "me", quota=1) == ["new"]
    assert app.proposed(source, "nobody") == []


def test_a_video_published_after_the_start_is_proposed_after_a_refresh(app: SmallApp) -> None:
    app.publish("first", author="ann", age_s=9 * HOUR)
    source = FollowingSource(app.columns)
    app.publish("second", author="ann", age_s=HOUR)
    app.publish("first of dan", author="dan", age_s=2 * HOUR)  # an author the index has never heard of
    app.follows("me", "ann", "dan")
    source.refresh()
    assert app.proposed(source, "me") == ["second", "first of dan", "first"]


def test_the_index_sorts_anew_when_many_videos_have_come(app: SmallApp) -> None:
    source = FollowingSource(app.columns)
    videos = [f"video {number}" for number in range(1_200)]
    app.publish(*videos, author="ann")
    app.follows("me", "ann")
    source.refresh()
    assert app.proposed(source, "me", quota=3) == videos[:-4:-1]
    app.publish("late", author="ann", age_s=0)
    source.refresh()
    assert app.proposed(source, "me", quota=3) == ["late", *videos[:-3:-1]]


def test_one_diligent_author_does_not_hide_the_others(app: SmallApp) -> None:
    app.publish("rare", author="bob", age_s=100 * HOUR)
    app.publish(*[f"video {number}" for number in range(1_100)], author="ann", age_s=2 * HOUR)
    app.follows("me", "ann", "bob")
    assert "rare" in app.proposed(FollowingSource(app.columns), "me", quota=60)


def test_what_was_seen_or_removed_or_is_no_longer_followed_is_not_proposed(app: SmallApp) -> None:
    app.publish("seen", "removed", "left", author="ann")
    app.follows("me", "ann")
    source = FollowingSource(app.columns)
    app.watches("me", "seen")
    app.remove("removed")
    assert app.proposed(source, "me") == ["left"]

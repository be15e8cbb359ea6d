"""Tests of what the index role builds."""

import numpy as np

from candidates.small_app import HOUR, SmallApp
from reelrank.candidates import co_watched, similar_users
from reelrank.candidates.build_index import IndexBuilder, IndexConfig
from reelrank.candidates.co_watched import CoWatches
from reelrank.storage.artifacts import PARENT


def test_both_artifacts_are_published_with_their_figures(two_circles: SmallApp) -> None:
    said = IndexBuilder(two_circles.store, two_circles.reader, two_circles.artifacts, two_circles.clock).build()
    assert "16 users" in said
    for name in (co_watched.ITEM_TO_ITEM, similar_users.SIMILAR_USERS):
        artifact = two_circles.artifacts.current(name)
        assert artifact is not None
        two_circles.artifacts.verify(artifact)
        about = artifact.manifest.about
        assert (about["users"], about["videos"]) == (16, 12)
        assert set(about) == {"offsets", "users", "videos", "pairs", "seconds", PARENT}
        assert artifact.manifest.made_at == two_circles.clock.now()


def test_nothing_is_published_again_while_nothing_was_folded(two_circles: SmallApp) -> None:
    builder = IndexBuilder(two_circles.store, two_circles.reader, two_circles.artifacts, two_circles.clock)
    builder.build()
    two_circles.clock.advance_to(two_circles.clock.now() + HOUR)
    assert "nothing was folded" in builder.build()
    assert len(two_circles.artifacts.versions(co_watched.ITEM_TO_ITEM)) == 1
    two_circles.watches("ana", "cat 0")
    assert "17 users" in builder.build()
    assert len(two_circles.artifacts.versions(co_watched.ITEM_TO_ITEM)) == 2


def test_a_handful_of_users_is_needed(app: SmallApp) -> None:
    app.publish("cat 0", "cat 1")
    builder = IndexBuilder(app.store, app.reader, app.artifacts, app.clock)
    assert "0 users" in builder.build()
    for person in range(4):
        app.watches(f"person {person}", "cat 0", "cat 1")
    assert "4 users have watched something; 5 are needed" in builder.build()
    assert app.artifacts.current(co_watched.ITEM_TO_ITEM) is None


def test_users_without_long_views_or_likes_are_enough(app: SmallApp) -> None:
    app.publish("cat 0", "cat 1")
    for person in range(5):
        app.watches(f"person {person}", "cat 0", "cat 1", watched_s=1.0)
    assert "0 engagements with 0 videos" in IndexBuilder(app.store, app.reader, app.artifacts, app.clock).build()


def test_of_too_many_users_a_sample_is_read(two_circles: SmallApp) -> None:
    config = IndexConfig(max_users=8, min_users=1)
    IndexBuilder(two_circles.store, two_circles.reader, two_circles.artifacts, two_circles.clock, config).build()
    artifact = two_circles.artifacts.current(co_watched.ITEM_TO_ITEM)
    assert artifact is not None
    assert 1 <= int(artifact.manifest.about["users"]) < 16


def test_popularity_is_that_of_the_last_days(two_circles: SmallApp) -> None:
    two_circles.watches("ana", "cat 0", ago_s=30 * 24 * HOUR)
    two_circles.watches("ben", "dog 0")
    IndexBuilder(two_circles.store, two_circles.reader, two_circles.artifacts, two_circles.clock).build()
    artifact = two_circles.artifacts.current(co_watched.ITEM_TO_ITEM)
    assert artifact is not None
    model = CoWatches.load(artifact.folder).together
    cat, dog = model.places_of(np.array([two_circles.columns.rows[video_id] for video_id in ("cat 0", "dog 0")]))
    assert model.log_popularity[dog] > model.log_popularity[cat]

"""Tests of the similar users source."""

import numpy as np
import pytest

from candidates.conftest import CATS
from candidates.small_app import HOUR, SmallApp
from reelrank.candidates.build_index import IndexBuilder
from reelrank.candidates.similar_users import SimilarUsersSource, collect, engaged_with, similar_users


@pytest.fixture
def source(two_circles: SmallApp) -> SimilarUsersSource:
    IndexBuilder(two_circles.store, two_circles.reader, two_circles.artifacts, two_circles.clock).build()
    return SimilarUsersSource(similar_users(two_circles.artifacts))


def test_who_liked_a_cat_is_proposed_what_the_cat_people_watch(two_circles: SmallApp, source: SimilarUsersSource) -> None:
    two_circles.watches("newcomer", "cat 0")
    two_circles.likes("newcomer", "cat 0")
    assert set(two_circles.proposed(source, "newcomer", quota=20)) == set(CATS) - {"cat 0"}


def test_a_glance_at_a_video_makes_nobody_similar(two_circles: SmallApp, source: SimilarUsersSource) -> None:
    two_circles.watches("newcomer", "dog 0", watched_s=1.0)
    two_circles.skips("newcomer", "dog 1")
    assert two_circles.proposed(source, "newcomer") == []


def test_the_more_the_neighbours_share_the_earlier_their_videos_come(app: SmallApp) -> None:
    app.publish("a", "b", "c", "of the close one", "of the far one", "other")
    app.watches("close", "a", "b", "c", "of the close one")
    app.watches("far", "a", "other", "of the far one")
    app.watches("me", "a", "b", "c")
    for person in range(3):
        app.watches(f"person {person}", "other")
    IndexBuilder(app.store, app.reader, app.artifacts, app.clock).build()
    proposed = app.proposed(SimilarUsersSource(similar_users(app.artifacts)), "me")
    assert proposed[0] == "of the close one"
    assert "of the far one" in proposed[1:]


def test_nothing_is_proposed_to_somebody_new_or_before_there_are_lists(two_circles: SmallApp, source: SimilarUsersSource) -> None:
    assert two_circles.proposed(source, "nobody") == []
    two_circles.artifacts.root = two_circles.artifacts.root / "elsewhere"
    assert two_circles.proposed(SimilarUsersSource(similar_users(two_circles.artifacts)), "cat person 0") == []


def test_engagements_come_latest_first_each_once(app: SmallApp) -> None:
    one, two, three, _ = app.publish("one", "two", "three", "four")
    app.watches("ana", "one", "two", "three", ago_s=HOUR)
    app.likes("ana", "one")
    app.skips("ana", "four")
    rows, moments = engaged_with(app.user("ana"), 50)
    assert rows.tolist() == [one, three, two]
    assert moments.tolist() == sorted(moments.tolist(), reverse=True)
    assert engaged_with(app.user("ana"), 2)[0].tolist() == [one, three]


def test_a_video_keeps_its_latest_users() -> None:
    engaged = [np.array([7]), np.array([7, 9]), np.array([7])]
    moments = [np.array([3.0]), np.array([-np.inf, 1.0]), np.array([5.0])]
    lists = collect(engaged, moments, posting=2)
    assert lists.videos.tolist() == [7, 9]
    assert lists.users[lists.user_indptr[0] : lists.user_indptr[1]].tolist() == [2, 0]
    assert lists.users[lists.user_indptr[1] : lists.user_indptr[2]].tolist() == [1]
    assert lists.engaged[lists.video_indptr[1] : lists.video_indptr[2]].tolist() == [0, 1]

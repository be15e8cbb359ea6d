"""Peers of the feed on two circles: each finds what a user's own circle watches."""

from pathlib import Path

import numpy as np
import pytest

from reelrank.simulation.kuairand import KuaiRand
from reelrank.studies import peer_feed
from reelrank.studies.feed_questions import FeedQuestions, split
from reelrank.studies.peer_feed import PEERS, FeedPast, als, bpr, compare, ease, item_knn, lists_of, past_of, popular
from studies.made_log import DAYS

COUNT = 5


@pytest.fixture(scope="module")
def data(log_folder: Path) -> KuaiRand:
    return KuaiRand(log_folder)


@pytest.fixture(scope="module")
def asked(data: KuaiRand) -> FeedQuestions:
    return split(data, DAYS[-1], DAYS[-1])[1]


@pytest.fixture(scope="module")
def past(data: KuaiRand, asked: FeedQuestions) -> FeedPast:
    return past_of(data.histories(), split(data, DAYS[-1], DAYS[-1])[0], asked)


def own_circle(lists: np.ndarray, asked: FeedQuestions) -> float:
    """The share of the places that hold a video of the user's own circle."""
    videos = asked.video_ids[lists].astype(int)
    return float((videos % 2 == asked.user_ids.astype(int)[:, None] % 2).mean())


def test_popular_is_what_was_watched_long_most_often(past: FeedPast, asked: FeedQuestions):
    lists = lists_of(popular(past, days=3), past, asked, COUNT)
    assert lists.shape == (len(asked.user_ids), COUNT)
    assert asked.shown_again(lists) == 0
    assert past.long_views(3.0).sum() > past.long_views(1.0).sum() > 0


@pytest.mark.parametrize(
    "fit", [item_knn, lambda past: ease(past, ridge=1.0, popularity=0.0), lambda past: als(past, factors=4), lambda past: bpr(past, factors=4)]
)
def test_what_learns_from_watches_alone_does_not_know_the_circles_and_never_shows_twice(fit, past: FeedPast, asked: FeedQuestions):
    lists = lists_of(fit(past), past, asked, COUNT)
    assert asked.shown_again(lists) == 0
    assert len(np.unique(lists)) > COUNT


def test_a_neighbour_of_what_was_watched_is_proposed(asked: FeedQuestions):
    half = len(asked.video_ids) // 2
    owner = np.repeat(np.arange(len(asked.user_ids)), half)
    video = np.concatenate([np.arange(int(user_id) % 2, 2 * half, 2) for user_id in asked.user_ids])
    kept = np.random.default_rng(0).random(len(owner)) < 0.6
    known = FeedPast(asked.user_ids, owner[kept], video[kept], np.ones(kept.sum(), dtype=bool), np.zeros(kept.sum()), len(asked.video_ids))
    for fit in (item_knn, lambda past: ease(past, ridge=1.0, popularity=0.0), lambda past: als(past, factors=4), lambda past: bpr(past, factors=4)):
        assert own_circle(lists_of(fit(known), known, asked, COUNT), asked) > 0.9


def test_all_peers_are_judged_with_the_settings_that_validation_chose(data: KuaiRand):
    told: list[int] = []
    found = compare(data, DAYS[-1], DAYS[-1], COUNT, on_progress=told.append)
    assert set(found) == set(PEERS)
    assert len(told) == len(PEERS)
    for name, numbers in found.items():
        assert 0 <= numbers[f"recall_at_{COUNT}"] <= 1
        assert numbers["settings"] in PEERS[name].searched


def test_a_peer_whose_library_is_missing_says_so(data: KuaiRand, monkeypatch: pytest.MonkeyPatch):
    def missing(past: FeedPast) -> None:
        raise ModuleNotFoundError("no module named 'implicit'", name="implicit")

    monkeypatch.setattr(peer_feed, "PEERS", {"als": peer_feed.FeedPeer(missing, ({},))})
    assert compare(data, DAYS[-1], DAYS[-1], COUNT) == {"als": {"skipped": "implicit is not installed: `make setup` installs what the peers need"}}

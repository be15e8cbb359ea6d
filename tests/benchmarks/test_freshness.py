"""Events and videos come into feeds while others send theirs."""

from reelrank.benchmarks.freshness import measure


def test_likes_and_new_videos_are_in_the_feed_soon():
    told = measure(trials=5, publications=4, rate=300.0, videos=60, users=50)
    for what in ("event_to_feed_ms", "video_to_feed_ms", "video_to_same_replica_ms", "feed_ms"):
        assert 0 < told[what]["p50"] <= told[what]["p99"] < 20_000
    assert told["background"]["accepted_per_s"] > 0

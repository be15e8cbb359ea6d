"""Somebody who watches everything: nothing comes back, nothing is kept from them, and then the feed says that there is no more."""

from reelrank.benchmarks.exhaust import measure


def test_everything_is_shown_once_and_then_nothing_with_the_reason() -> None:
    numbers = measure(requests=260, videos=2_345)
    assert (numbers["shown"], numbers["shown_again"], numbers["never_shown"]) == (2_345, 0, 0)
    assert 235 < numbers["emptied_at"] <= 260
    assert numbers["empty_because"] == {"was on this user's screen before": 2_345}
    assert numbers["from_a_kept_page"] > 0

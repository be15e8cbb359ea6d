"""Feeds under load, on a small generated world."""

import pytest

from reelrank.benchmarks.feed_latency import measure


@pytest.mark.parametrize("rate", [20.0, 0.0], ids=["at a rate", "one after the other"])
def test_every_request_is_answered_and_every_stage_has_its_milliseconds(rate: float) -> None:
    numbers = measure(videos=60, users=30, rate=rate, seconds=1.0, connections=2)
    assert numbers["errors"] == 0
    assert numbers["requests"] > 0
    assert numbers["data"] == "generated"
    assert {"user", "sources", "hydrate features"} <= numbers["stage_ms"].keys()

"""The rate of durable events is measured over HTTP, and what was acknowledged is looked for in the log."""

import pytest

from reelrank.benchmarks.event_rate import measure


def test_what_is_acknowledged_is_counted_and_found_in_the_log() -> None:
    numbers = measure(seconds=1.0, batch=20, connections=4, videos=60)
    assert numbers["durable_events_per_s"] > 0
    assert numbers["ratio_to_raw_append"] == pytest.approx(numbers["durable_events_per_s"] / numbers["raw_append_per_s"], rel=0.01)
    assert numbers["acknowledged"] >= numbers["durable_events_per_s"] * numbers["seconds"] * 0.99
    assert numbers["lost"] == 0
    assert numbers["request_ms"]["p50"] <= numbers["request_ms"]["p99"]
    assert numbers["server_cpu"] > 0

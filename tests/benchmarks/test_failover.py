"""Failover in small: what a kill and a restart do to whoever asks meanwhile is measured, and nothing counts twice."""

import pytest

from reelrank.benchmarks.failover import measure


@pytest.mark.usefixtures("haproxy")
def test_nothing_counts_twice_and_nothing_acknowledged_is_lost_when_a_replica_is_killed() -> None:
    steps: list[int] = []
    numbers = measure(kills=1, rate=20.0, videos=200, users=40, connections=8, quiet_s=0.5, on_progress=steps.append)
    assert (numbers["kills"], steps) == (1, [1, 1])
    assert numbers["requests"] > numbers["rolling"]["requests"] > 0
    assert (numbers["failed"], numbers["failures"], numbers["rolling"]["failed"]) == (0, {}, 0)
    assert numbers["rolling"]["slates_by_it"] > 0
    assert (numbers["served_twice"], numbers["events_lost"]) == (0, 0)
    assert 0 < numbers["p50_ms"] <= numbers["p99_ms"]
    assert numbers["quiet"]["p50_ms"] > 0

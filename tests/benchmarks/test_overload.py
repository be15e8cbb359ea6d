"""Overload: what is accepted is kept, what is too much is refused, and both are counted."""

import pytest

from reelrank.benchmarks.overload import DoorName, measure


@pytest.mark.parametrize("door", ["events", "feed"])
def test_three_times_too_much_is_partly_refused_and_nothing_acknowledged_is_lost(door: DoorName) -> None:
    numbers = measure(seconds=2.0, door=door, videos=60, connections=128, warm_up_s=0.5, search_s=1.0)
    assert numbers["offered_per_s"] == pytest.approx(3 * numbers["sustainable_per_s"], rel=0.01)
    assert numbers["accepted"] > 0
    assert numbers["refused"] > 0
    assert numbers["lost"] == 0
    assert set(numbers["statuses"]) <= {"200", "202", "429", "503"}
    assert numbers["accepted_p50_ms"] <= numbers["accepted_p99_ms"]
    assert numbers["peak_mib"] > 10
    assert numbers["feeds_meanwhile"]["answered"] + numbers["feeds_meanwhile"]["refused"] > 0

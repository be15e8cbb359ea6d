"""One request of a real replica, taken apart."""

from pathlib import Path

import pytest

from reelrank.benchmarks.request_profile import measure


def test_the_cpu_time_of_a_request_is_told_by_part_and_by_stack(tmp_path: Path) -> None:
    profile = measure(videos=300, users=30, requests=60, folder=tmp_path)
    numbers = profile.numbers
    assert sum(numbers["part_ms"].values()) == pytest.approx(numbers["cpu_ms"], abs=0.02)
    assert sum(profile.ms.values()) == pytest.approx(numbers["cpu_ms"], abs=0.02)
    assert numbers["cpu_ms"] < numbers["process_ms"]
    assert {part for part, ms in numbers["part_ms"].items() if ms > 0.05} >= {"HTTP", "features", "ranker: candidates", "slate", "source co_watched"}
    assert numbers["part_ms"]["the rest"] < numbers["cpu_ms"] / 4
    recommend = {place for stack in profile.ms for place, frame in enumerate(stack) if frame == ("reelrank.feed", "Feed.recommend")}
    assert recommend == {2}  # sources too, whatever thread asks them: below the request, its thread's door and nothing else

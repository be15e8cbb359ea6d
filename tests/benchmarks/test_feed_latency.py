"""Feeds under load, on a small world behind HAProxy."""

from pathlib import Path

import pytest

from reelrank.benchmarks.feed_latency import measure


@pytest.mark.parametrize("caches", ["on", "off"])
def test_every_request_is_answered_by_the_ranker_and_every_stage_has_its_milliseconds(haproxy: str, caches: str, tmp_path: Path) -> None:
    numbers = measure(videos=300, users=30, rate=15.0, seconds=2.0, caches=caches, events_per_s=200.0, folder=tmp_path)
    assert numbers["errors_by_kind"] == numbers["degraded_parts"] == {}
    assert numbers["requests"] == 30
    assert numbers["ranked_by"] == {"ranker": 30}
    assert (numbers["cache_hit_rate"] > 0, numbers["history_hit_rate"] > 0) == (caches == "on", caches == "on")
    assert {"user", "sources", "hydrate features", "score ranker"} <= numbers["stage_ms"].keys()
    assert numbers["folded_at_the_end"]
    assert numbers["peak_mib"] > 100
    assert numbers["cpu_ms"]["p50"] > 0

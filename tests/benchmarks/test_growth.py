"""Larger and larger catalogues, on small worlds behind HAProxy."""

from pathlib import Path
from xml.etree import ElementTree

from reelrank.benchmarks.growth import growth, measure
from reelrank.benchmarks.growth_plot import draw


def test_every_size_has_a_point_and_the_picture_shows_them(haproxy: str, tmp_path: Path) -> None:
    numbers = measure((300, 200), users=20, rate=10.0, seconds=1.0, folder=tmp_path)
    assert [point["videos"] for point in numbers["points"]] == [200, 300]
    assert all(point["requests"] == 10 and point["errors"] == point["degraded"] == 0 for point in numbers["points"])
    assert all(point[name] > 0 for point in numbers["points"] for name in ("p50_ms", "p99_ms", "cpu_ms", "mib", "ready_s", "world_s"))
    assert numbers["growth_10k_to_1m"] is None
    assert {path.name for path in tmp_path.iterdir()} == {"200", "300"}
    draw(numbers, tmp_path / "growth.svg")
    assert ElementTree.parse(tmp_path / "growth.svg").getroot().tag.endswith("svg")


def test_growth_is_how_many_times_as_much_a_hundred_times_as_many_videos_take() -> None:
    small = {"videos": 10_000, "p50_ms": 10.0, "cpu_ms": 8.0, "mib": 500.0}
    large = {"videos": 1_000_000, "p50_ms": 14.0, "cpu_ms": 10.0, "mib": 2_000.0}
    assert growth([small, large]) == {"latency": 1.4, "cpu": 1.25, "memory": 4.0}
    assert growth([small]) is None

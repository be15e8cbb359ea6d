"""What a larger catalogue costs: the same load of feeds on worlds of growing size, with nothing kept of a user between two requests."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reelrank.benchmarks import feed_latency, large_world

SIZES = (10_000, 100_000, 1_000_000)
_FROM, _TO = 10_000, 1_000_000  # between which growth is told
_GROWING = {"p50_ms": "latency", "cpu_ms": "cpu", "mib": "memory"}


def measure(
    sizes: Sequence[int] = SIZES, users: int = 100_000, rate: float = 10.0, seconds: float = 30.0, replicas: int = 2, count: int = 10, seed: int = 0,
    folder: Path | None = None, on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """The same `users` ask for `rate` feeds a second, few enough that hardly any waits for another, at catalogues of each of `sizes`.

    `folder` keeps the worlds for the next time, each in a folder of its own that is called after its videos.
    """
    points: list[dict[str, Any]] = []
    for videos in sorted(set(sizes)):
        home = None if folder is None else folder / str(videos)
        # nothing is folded meanwhile: that costs the same whatever the size, and would only add noise
        told = feed_latency.measure(videos, users, rate, seconds, "off", replicas, 0.0, count, seed, home, on_progress)
        points.append(_point(told))
    return {
        "points": points,
        "growth_10k_to_1m": growth(points),
        "users": users,
        "rate": rate,
        "seconds": seconds,
        "replicas": replicas,
        "caches": "off",
        "count": count,
        "seed": seed,
    }


def steps(sizes: Sequence[int], users: int, rate: float, seconds: float) -> int:
    """How far `on_progress` counts."""
    return sum(large_world.steps(videos, users) + round(rate * seconds) for videos in set(sizes))


def _point(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "videos": told["videos"],
        "p50_ms": told["latency_ms"]["p50"],
        "p99_ms": told["latency_ms"]["p99"],
        "cpu_ms": told["cpu_ms_per_request"],
        "mib": told["peak_mib"],
        "ready_s": told["ready_s"],
        "world_s": round(sum(told["world"]["seconds"].values()), 1),
        "requests": told["requests"],
        "errors": told["errors"],
        "degraded": told["degraded"],
        "stage_ms": told["stage_ms"],
    }


def growth(points: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """How many times as much a catalogue a hundred times as large takes; None unless both were measured."""
    by_size = {point["videos"]: point for point in points}
    if not {_FROM, _TO} <= by_size.keys():
        return None
    return {name: round(by_size[_TO][key] / by_size[_FROM][key], 2) for key, name in _GROWING.items()}

"""The picture of `bench scale`: latency, CPU and memory over the size of the catalogue."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CURVES = (  # of each panel: its title, and (key, what it is called, colour)
    ("one request (ms)", (("p99_ms", "p99", "#d97706"), ("p50_ms", "p50", "#2563eb"), ("cpu_ms", "CPU, alone", "#16a34a"))),
    ("memory of all processes (MiB)", (("mib", "shared pages once", "#2563eb"),)),
    ("start until ready (s)", (("ready_s", "all processes", "#2563eb"),)),
)


def draw(numbers: Mapping[str, Any], path: Path) -> None:
    """Writes an SVG file."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    points = numbers["points"]
    videos = [point["videos"] for point in points]
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(3.3 * len(_CURVES), 2.6), layout="constrained")
        for axes, (title, curves) in zip(figure.subplots(1, len(_CURVES)), _CURVES, strict=True):
            for key, name, colour in curves:
                axes.plot(videos, [point[key] for point in points], marker="o", markersize=4, color=colour, label=name)
            axes.set_xscale("log")
            axes.set_xticks(videos, [_short(count) for count in videos])
            axes.minorticks_off()
            axes.set_ylim(bottom=0)
            axes.set_title(title, fontsize=9)
            axes.set_xlabel("videos")
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _short(count: int) -> str:
    return f"{count / 1_000_000:g} M" if count >= 1_000_000 else f"{count / 1_000:g} k"

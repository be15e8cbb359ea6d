"""Pictures of `evaluate slates`: a row for each param that was turned, a column for each measure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLUMNS = {
    "kuairand": {
        "recall_at_20": "recall@20",
        "intra_list_diversity": "diversity",
        "novelty_bits": "novelty (bits)",
        "author_coverage": "author coverage",
        "expected_watch_s": "predicted watch time (s)",
    },
    "simulation": {
        "interest": "interest",
        "intra_list_diversity": "diversity",
        "video_coverage": "video coverage",
        "author_coverage": "author coverage",
        "watched_s_per_visit": "watched per visit (s)",
    },
}
_COLOURS = {"mmr": "#2563eb", "dpp": "#d97706"}


def draw(numbers: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes slates-kuairand.svg and slates-simulation.svg into `folder`, as far as there are numbers; returns where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_draw(numbers[name]["points"], columns, folder / f"slates-{name}.svg") for name, columns in COLUMNS.items() if name in numbers]


def _draw(told: Sequence[Mapping[str, Any]], columns: Mapping[str, str], path: Path) -> Path:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    swept = list(dict.fromkeys(point["swept"] for point in told))
    with rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(2.1 * len(columns), 1.6 * len(swept)), layout="constrained")
        grid = figure.subplots(len(swept), len(columns), squeeze=False, sharey="col")
        for row, name in enumerate(swept):
            for column, (measure, title) in enumerate(columns.items()):
                axes = grid[row, column]
                for kind, colour in _COLOURS.items():
                    points = [point for point in told if (point["swept"], point["kind"]) == (name, kind)]
                    if points:
                        axes.plot(range(len(points)), [point[measure] for point in points], marker="o", markersize=3, color=colour, label=kind)
                        axes.set_xticks(range(len(points)), [f"{point['value']:g}" for point in points])
                if row == 0:
                    axes.set_title(title, fontsize=8)
                axes.set_xlabel(name)
                axes.grid(alpha=0.3)
                axes.spines[["top", "right"]].set_visible(False)
        grid[0, 0].legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})
    return path

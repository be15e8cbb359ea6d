"""reelrank replay: a real log through the whole loop, measured."""

from pathlib import Path
from typing import Any

import click

from reelrank.cli.options import json_option
from reelrank.cli.progress import TerminalProgress
from reelrank.cli.report import tell


@click.group
def replay() -> None:
    """Replay a real log through the whole loop and measure it."""


@replay.command
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many exposures.")
@click.option("--from-day", type=int, help="The first day, as 20220425.")
@click.option("--until-day", type=int, help="The last day, as 20220506.")
@click.option("--speed/--no-speed", default=True, show_default=True, help="Post the log to a running system and count events per second.")
@click.option("--quality/--no-quality", default=True, show_default=True, help="Predict every exposure before it is seen and judge the predictions.")
@click.option("--feeds", type=click.IntRange(min=0), default=2_000, show_default=True, help="How many long views a feed is asked for just before.")
@click.option("--together-s", type=float, default=30.0, show_default=True, help="Exposures this close together are predicted from the same state.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses the long views that feeds are asked for.")
@json_option
def kuairand(
    folder: Path, limit: int | None, from_day: int | None, until_day: int | None,
    speed: bool, quality: bool, feeds: int, together_s: float, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """KuaiRand-Pure, a short-video platform's log: FOLDER holds its videos, history and impressions as Parquet files."""
    from reelrank.benchmarks.log_replay import measure_quality, measure_speed
    from reelrank.simulation.kuairand import DataError, KuaiRand

    try:
        data = KuaiRand(folder)
        exposures = data.exposures(from_day, until_day, limit)
    except DataError as problem:
        raise click.ClickException(str(problem)) from None
    progress = TerminalProgress()
    numbers: dict[str, Any] = {"data": "kuairand-pure", "exposures": len(exposures)}
    if speed:
        with progress.task("posting the log", exposures.events) as on_progress:
            fast = measure_speed(data, exposures, on_progress)
        numbers |= {name: fast.pop(name) for name in ("events", "events_per_s")} | {"speed": fast}
    if quality:
        with progress.task("predicting, then seeing", len(exposures)) as on_progress:
            good = measure_quality(data, exposures, seed, feeds, together_s=together_s, on_progress=on_progress)
        first = ("auc", "gauc", "log_loss", "recall_at_50", "popular_recall_at_50", "recall_by_source")
        numbers |= {name: good.pop(name) for name in first if name in good} | {"quality": good}
    tell(f"KuaiRand-Pure, {len(exposures):,} exposures", numbers, as_json)

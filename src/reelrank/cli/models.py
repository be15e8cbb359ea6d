"""reelrank models: what is live of each model, and what came of its last training."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reelrank.cli.deployment import installation
from reelrank.cli.options import config_option, data_dir_option, json_option
from reelrank.cli.report import tell_json
from reelrank.cli.training_news import called, is_told, line, moment, since

if TYPE_CHECKING:
    from reelrank.wiring import Reelrank

_COUNTS = ("held_out", "users", "videos", "pairs")  # in the manifest: from how much it was made, and judged


@click.command
@data_dir_option
@config_option
@json_option
def models(data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Show what is live of each model: which version, made when, how good; and what came of its last training."""
    from reelrank.wiring import MODELS

    with installation(config, data_dir) as system:
        live = [artifact.manifest for artifact in map(system.artifacts.current, MODELS) if artifact is not None]
        trainings = system.last_runs.all()
        examples = None if any(manifest.name == "ranker" for manifest in live) else _towards_the_first(system)
        if as_json:
            shown = [
                {
                    "name": manifest.name,
                    "version": manifest.version,
                    "created_at": manifest.made_at,
                    "about": manifest.about,
                    "versions": system.artifacts.versions(manifest.name),
                }
                for manifest in live
            ]
            tell_json({"models": shown, "trainings": trainings, "examples": examples})
            return
        by_name = {manifest.name: manifest for manifest in live}
        for name in MODELS:
            manifest = by_name.get(name)
            click.echo(f"{name}: " + ("nothing is live" if manifest is None else f"{manifest.version}, made {moment(manifest.made_at)}"))
            if manifest is not None and (measured := _measured(manifest.about)):
                click.echo(f"    {measured}")
            for run in trainings:
                if run.model == name:
                    click.echo(f"    {line(run)}{since(run, system.artifacts)}")
    if examples is not None:
        there = "the lake can't be read just now" if examples["there"] is None else f"the lake holds {examples['there']:,} examples"
        click.echo(f"{there}; the first training needs {examples['needed']:,} (train.min_examples)")


def _towards_the_first(system: "Reelrank") -> dict[str, int | None]:
    """How many examples there are, None if nobody knows just now, and how many the first training needs."""
    from reelrank.storage.event_log import StorageError
    from reelrank.storage.lake_schema import EXAMPLES_TABLE

    try:
        there = system.lake.status(EXAMPLES_TABLE, []).rows
    except StorageError:
        there = None
    return {"there": there, "needed": system.settings.train.min_examples}


def _measured(about: Mapping[str, Any]) -> str:
    measures = [f"{called(name)} {value:.4f}" for name, value in about.items() if is_told(name)]
    return ", ".join([*measures, *(f"{called(name)} {about[name]:,}" for name in _COUNTS if name in about)])

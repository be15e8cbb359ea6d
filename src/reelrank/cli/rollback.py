"""reelrank rollback: makes an earlier version live again."""

from pathlib import Path

import click

from reelrank.cli.deployment import installation, model_named
from reelrank.cli.options import config_option, data_dir_option, json_option
from reelrank.cli.report import tell_json


@click.command
@click.argument("name")
@click.option("--version", default="", help="This one; without it, the one that was live before.")
@data_dir_option
@config_option
@json_option
def rollback(name: str, version: str, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Make the version that was live before live again, of the model NAME: ranker, two-tower, graph, item-to-item or similar-users."""
    from reelrank.storage.event_log import StorageError

    name = model_named(name)
    with installation(config, data_dir) as system:
        try:
            before, after = system.artifacts.roll_back(name, version)
        except StorageError as problem:
            raise click.ClickException(str(problem)) from None  # nothing is away: there is none
        left = system.artifacts.versions(name)
    if as_json:
        tell_json({"name": name, "before": before, "live": after, "versions": left})
    else:
        click.echo(f"{name}: {after} is live again, in place of {before or 'nothing'}; there are: {', '.join(left)}")

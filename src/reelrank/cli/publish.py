"""reelrank publish: makes a candidate live, if it passes the gates."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reelrank.cli.options import config_option, data_dir_option, installation_from, json_option

if TYPE_CHECKING:
    from reelrank.training.publish import Verdict


@click.command
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--anyway", is_flag=True, help="Publish it even if it is worse than what is live.")
@data_dir_option
@config_option
@json_option
def publish(name: str, folder: Path, anyway: bool, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Make the files in FOLDER the live version of NAME, unless they are unsound, or worse than what is live by more than the noise."""
    settings = installation_from(config, data_dir)
    from reelrank.wiring import open_reelrank

    system = open_reelrank(settings)
    try:
        verdict = system.retraining.publish(name, folder, {}, anyway)
    finally:
        system.close()
    tell_verdict(verdict, as_json)


def tell_verdict(verdict: "Verdict", as_json: bool) -> None:
    """Says what came of a candidate; ends with 1 if it was refused."""
    import msgspec

    click.echo(msgspec.json.encode(verdict).decode() if as_json else str(verdict))
    if not verdict.published:
        raise click.exceptions.Exit(1)

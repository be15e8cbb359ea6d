"""reelrank publish: makes a candidate live, if it passes the gates."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reelrank.cli.deployment import installation
from reelrank.cli.options import config_option, data_dir_option, json_option
from reelrank.cli.report import tell_json

if TYPE_CHECKING:
    from reelrank.training.publish import Verdict


@click.command
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--anyway", is_flag=True, help="Publish it even if it is worse than what is live, never if it is unsound.")
@data_dir_option
@config_option
@json_option
def publish(name: str, folder: Path, anyway: bool, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Make the files in FOLDER the live version of NAME, unless they are unsound, or worse than what is live by more than the noise.

    NAME is ranker, the only one that is published from a folder; train and index publish the others.
    """
    with installation(config, data_dir) as system:
        verdict = system.retraining.publish(name.replace("-", "_"), folder, {}, anyway)
    tell_verdict(verdict, as_json)


def tell_verdict(verdict: "Verdict", as_json: bool) -> None:
    """Says what came of a candidate; ends with 1 if it was refused."""
    if as_json:
        tell_json(verdict)
    else:
        click.echo(str(verdict))
    if not verdict.published:
        raise click.exceptions.Exit(1)

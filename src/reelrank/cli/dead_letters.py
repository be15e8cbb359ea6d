"""reelrank dead-letters: look at refused events and send them in again."""

from datetime import UTC, datetime
from pathlib import Path

import click

from reelrank.cli.deployment import installation
from reelrank.cli.options import config_option, data_dir_option, json_option
from reelrank.cli.report import tell_json


@click.group
def dead_letters() -> None:
    """Look at refused events and send them in again."""


@dead_letters.command("list")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many, at most.")
@data_dir_option
@config_option
@json_option
def list_(limit: int, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Show what was refused: when, which event, why."""
    from reelrank.events.dead_letters import read_all

    with installation(config, data_dir) as system:
        letters = list(read_all(system.log, limit=limit))
    if as_json:
        rows = [
            {"received_at": letter.received_at, "event_id": letter.event_id, "reason": letter.reason, "event": letter.raw.decode(errors="replace")}
            for letter in letters
        ]
        tell_json({"dead_letters": rows})
        return
    for letter in letters:
        click.echo(f"{datetime.fromtimestamp(letter.received_at, UTC):%Y-%m-%d %H:%M:%S}  {letter.event_id or '(no id)'}\n    {letter.reason}")
    if not letters:
        click.echo("nothing was refused")


@dead_letters.command
@data_dir_option
@config_option
@json_option
def resubmit(data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Send every refused event through the collector again, after its cause was mended. Doing it twice changes nothing."""
    from reelrank.events.dead_letters import read_all
    from reelrank.events.resubmission import resubmit as send_again

    with installation(config, data_dir) as system:
        done = send_again(system.collector, read_all(system.log))
    if as_json:
        tell_json(done._asdict())
    else:
        click.echo(f"accepted {done.accepted:,}, refused again {done.refused:,}")

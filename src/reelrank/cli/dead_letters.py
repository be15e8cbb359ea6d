"""reelrank dead-letters: look at refused events and send them in again."""

from datetime import UTC, datetime
from pathlib import Path

import click

from reelrank.cli.options import config_option, data_dir_option, installation_from, json_option


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
    settings = installation_from(config, data_dir)
    import msgspec

    from reelrank.events.dead_letters import read_all
    from reelrank.wiring import open_reelrank

    system = open_reelrank(settings)
    try:
        letters = list(read_all(system.log, limit=limit))
    finally:
        system.close()
    if as_json:
        rows = [
            {"received_at": letter.received_at, "event_id": letter.event_id, "reason": letter.reason, "event": letter.raw.decode(errors="replace")}
            for letter in letters
        ]
        click.echo(msgspec.json.encode({"dead_letters": rows}).decode())
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
    settings = installation_from(config, data_dir)
    import msgspec

    from reelrank.events.dead_letters import read_all
    from reelrank.events.resubmission import resubmit as send_again
    from reelrank.wiring import open_reelrank

    system = open_reelrank(settings)
    try:
        done = send_again(system.collector, read_all(system.log))
    finally:
        system.close()
    if as_json:
        click.echo(msgspec.json.encode(done._asdict()).decode())
    else:
        click.echo(f"accepted {done.accepted:,}, refused again {done.refused:,}")

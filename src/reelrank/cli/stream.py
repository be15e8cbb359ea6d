"""reelrank stream: one process that folds the event log into the online store."""

from pathlib import Path

import click

from reelrank.cli.options import config_option, settings_from


@click.command
@config_option
def stream(config: Path | None) -> None:
    """Fold the event log into the online store, as it grows."""
    settings = settings_from(config)
    from reelrank.supervisor import die_with_supervisor, stop_signal
    from reelrank.wiring import open_reelrank

    die_with_supervisor()
    stopping = stop_signal()
    system = open_reelrank(settings)
    try:
        system.stream.follow(stopping.is_set)
    finally:
        system.close()

"""reelrank stream: one process that folds the event log into the online store."""

from pathlib import Path

import click

from reelrank.cli.options import config_option, settings_from


@click.command
@click.option("--only", type=click.Choice(["users", "counters"]), help="Fold only the users into the online store, or only the counters of this machine.")
@config_option
def stream(only: str | None, config: Path | None) -> None:
    """Fold the event log into the online store and this machine's counters, as it grows.

    Several share the users among them and take over from each other; the counters have one follower on each machine.
    """
    settings = settings_from(config)
    from reelrank.supervisor import die_with_supervisor, stop_signal
    from reelrank.wiring import open_reelrank

    die_with_supervisor()
    stopping = stop_signal()
    system = open_reelrank(settings)
    try:
        system.stream.follow(stopping.is_set, users=only != "counters", counters=only != "users")
    finally:
        system.close()

"""reelrank stream: one process that folds the event log into the online store."""

from pathlib import Path

import click

from reelrank.cli.deployment import role
from reelrank.cli.options import config_option


@click.command
@click.option("--only", type=click.Choice(["users", "counters"]), help="Fold only the users into the online store, or only the counters of this machine.")
@config_option
def stream(only: str | None, config: Path | None) -> None:
    """Fold the event log into the online store and this machine's counters, as it grows.

    Several share the users among them and take over from each other; the counters have one follower on each machine. That one also works out
    what trends and what is new there, for all its processes.
    """
    from reelrank.features.side_by_side import SideBySide

    with role(config) as (system, stopping), SideBySide({} if only == "users" else {"upkeep": system.upkeep.follow}):
        system.stream.follow(stopping.is_set, users=only != "counters", counters=only != "users")

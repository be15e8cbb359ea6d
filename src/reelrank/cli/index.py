"""reelrank index: one process that rebuilds what recall reads from what people watched."""

import time
from pathlib import Path

import click

from reelrank.cli.deployment import role
from reelrank.cli.options import config_option

_FIRST_EVERY_S = 3.0
_LOOK_EVERY_S = 1.0


@click.command
@click.option("--once", is_flag=True, help="Build once and leave.")
@config_option
def index(config: Path | None, once: bool) -> None:
    """Rebuild the item-to-item weights and the similar users every `index.every_s` seconds, and the indexes of vectors when many videos are new."""
    with role(config) as (system, stopping):
        every_s = system.settings.index.every_s
        while True:
            click.echo(system.index_builder.build())
            click.echo(system.vector_builder.build())
            # soon again as long as too few people have watched anything
            pause_s = every_s if system.artifacts.current("item_to_item") else min(_FIRST_EVERY_S, every_s)
            until = time.monotonic() + pause_s
            while not once and not stopping.wait(min(_LOOK_EVERY_S, pause_s)) and time.monotonic() < until:
                if system.vector_builder.lacks:  # a model that went live, or was rolled back to, waits for this
                    click.echo(system.vector_builder.build())
            if once or stopping.is_set():
                return

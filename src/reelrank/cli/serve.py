"""reelrank serve: one process that answers feeds, collects events and shows the page."""

from contextlib import closing
from pathlib import Path

import click

from reelrank.cli.options import config_option, settings_from


@click.command
@config_option
def serve(config: Path | None) -> None:
    """Answer feeds, collect events, show the page."""
    settings = settings_from(config)
    from reelrank.serving.app import create_app
    from reelrank.serving.server import run
    from reelrank.supervisor import die_with_supervisor
    from reelrank.wiring import open_reelrank

    die_with_supervisor()
    with closing(open_reelrank(settings)) as system:
        services, serving = system.services, settings.serving
        run(create_app(services), serving.host, serving.port, shutdown_s=serving.shutdown_s, connections=services.connections)

"""reelrank serve: one process that answers feeds, collects events and shows the page."""

from contextlib import closing
from pathlib import Path

import click

from reelrank.cli.options import address_in, config_option, settings_from


@click.command
@click.option("--at", metavar="HOST:PORT", help="Listen there: a replica whose load balancer has the configured host and port.")
@config_option
def serve(at: str | None, config: Path | None) -> None:
    """Answer feeds, collect events, show the page."""
    settings = settings_from(config)
    host, port = (settings.serving.host, settings.serving.port) if at is None else address_in(at, "--at")
    from reelrank.serving.app import create_app
    from reelrank.serving.server import run
    from reelrank.supervisor import die_with_supervisor
    from reelrank.wiring import open_reelrank

    die_with_supervisor()
    with closing(open_reelrank(settings)) as system:
        services, serving = system.services, settings.serving
        run(
            create_app(services), host, port,
            shutdown_s=serving.shutdown_s, connections=services.connections, drain_s=serving.drain_s, drain=services.drain,
        )  # fmt: skip

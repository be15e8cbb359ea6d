"""reelrank deploy: what other programs have to be told so that they work with Reelrank."""

from pathlib import Path

import click

from reelrank.cli.options import address_in, config_option, settings_from


@click.group
def deploy() -> None:
    """Write the configuration of what stands around Reelrank: haproxy."""


@deploy.command
@click.option(
    "--replica", "replicas", multiple=True, metavar="HOST:PORT", help="Where a replica listens; once for each. Without it those that the settings make."
)
@click.option("--bind", metavar="HOST:PORT", help="Where HAProxy listens  [default: serving.host and serving.port]")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it there instead of printing it.")
@config_option
def haproxy(replicas: tuple[str, ...], bind: str | None, output: Path | None, config: Path | None) -> None:
    """The configuration of HAProxy for several replicas: users to replicas, health, what is tried again."""
    from reelrank.serving.haproxy import Replica, haproxy_config, stats_socket_in
    from reelrank.supervisor import processes, replicas_of, role_of

    settings = settings_from(config)
    at = (settings.serving.host, settings.serving.port) if bind is None else address_in(bind, "--bind")
    if replicas:
        found = [Replica(f"replica-{number}", *address_in(text, "--replica")) for number, text in enumerate(replicas, 1)]
    else:
        found = replicas_of(settings, [name for name in processes(settings.roles) if role_of(name) == "serve"])
    if any((one.host, one.port) == at for one in found):
        raise click.ClickException(f"a replica listens at {at[0]}:{at[1]} itself; set roles.serve to 2 or more, or name the replicas (--replica)")
    if not found:
        raise click.ClickException("there is no replica; name each with --replica HOST:PORT, or set roles.serve")
    text = haproxy_config(at, found, settings.serving, stats_socket_in(Path(settings.data_dir)))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text)
        click.echo(f"{output} is there; look at it with: haproxy -c -f {output}")

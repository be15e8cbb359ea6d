"""reelrank keys: who may talk to a service that does not listen on loopback alone."""

from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from reelrank.cli.deployment import installation
from reelrank.cli.options import config_option, data_dir_option, json_option
from reelrank.cli.report import tell_json


@click.group
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command
@click.option("--name", required=True, help="Who uses it: an app, a back end, a person.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    help="What it may do: events:write, feed:read, videos:write, events:import, rules:write or admin. Repeatable.",
)
@data_dir_option
@config_option
@json_option
def create(name: str, scopes: tuple[str, ...], data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Make a key and show its secret, this once: only a digest of it is kept."""
    with installation(config, data_dir, "catalog") as system:
        key, secret = system.keys.create(name, scopes, system.clock.now())
    if as_json:
        tell_json({**msgspec.structs.asdict(key), "key": secret})
        return
    click.echo(f"{secret}\n\nThis is the key {key.key_id} of {key.name} for {', '.join(key.scopes)}. Keep it: it can't be shown again.")


@keys.command("list")
@data_dir_option
@config_option
@json_option
def list_(data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Show every key: what it may do, since when, when it was last used. Never a secret."""
    with installation(config, data_dir, "catalog") as system:
        found = system.keys.all()
    if as_json:
        tell_json({"keys": found})
        return
    for key in found:
        ended = f"  revoked {_date(key.revoked_at)}" if key.revoked_at is not None else ""
        click.echo(f"{key.key_id}  {key.name}  [{', '.join(key.scopes)}]  made {_date(key.created_at)}, last used {_date(key.used_at)}{ended}")
    if not found:
        click.echo("there are no keys; `reelrank keys create` makes one")


@keys.command
@click.argument("key")
@data_dir_option
@config_option
@json_option
def revoke(key: str, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """End a key for good, named by its id or its name. Within five seconds nobody gets in with it."""
    with installation(config, data_dir, "catalog") as system:
        revoked = system.keys.revoke(key, system.clock.now())
    if as_json:
        tell_json(revoked)
    else:
        click.echo(f"revoked the key {revoked.key_id} of {revoked.name}")


def _date(moment: float | None) -> str:
    return "never" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"

"""reelrank keys: who may talk to a service that does not listen on loopback alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reelrank.cli.options import config_option, data_dir_option, json_option, settings_from

if TYPE_CHECKING:
    from reelrank.storage.keys import Key
    from reelrank.wiring import Reelrank


@click.group
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command
@click.option("--name", required=True, help="Who uses it: an app, a back end, a person.")
@click.option(
    "--scope", "scopes", multiple=True, required=True, help="What it may do: events:write, feed:read, videos:write, events:import or admin. Repeatable."
)
@data_dir_option
@config_option
@json_option
def create(name: str, scopes: tuple[str, ...], data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Make a key and show its secret, this once: only a digest of it is kept."""
    with _opened(config, data_dir) as system:
        key, secret = system.keys.create(name, scopes, system.clock.now())
    if as_json:
        _print({**_told(key), "key": secret})
        return
    click.echo(f"{secret}\n\nThis is the key {key.key_id} of {key.name} for {', '.join(key.scopes)}. Keep it: it can't be shown again.")


@keys.command("list")
@data_dir_option
@config_option
@json_option
def list_(data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Show every key: what it may do, since when, when it was last used. Never a secret."""
    with _opened(config, data_dir) as system:
        found = system.keys.all()
    if as_json:
        _print({"keys": [_told(key) for key in found]})
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
    with _opened(config, data_dir) as system:
        revoked = system.keys.revoke(key, system.clock.now())
    if as_json:
        _print(_told(revoked))
    else:
        click.echo(f"revoked the key {revoked.key_id} of {revoked.name}")


@contextmanager
def _opened(config: Path | None, data_dir: Path | None) -> "Iterator[Reelrank]":
    """The deployment; with SQLite only one that is there, so that no key goes into a database that nobody serves from."""
    import msgspec

    settings = settings_from(config)
    settings = msgspec.structs.replace(settings, data_dir=str(data_dir or settings.data_dir))
    from reelrank.wiring import open_reelrank

    scheme, _, file = settings.storage.catalog.partition(":")
    home = Path(settings.data_dir)
    if scheme == "file" and not (home / file).exists():
        others = ", ".join(str(place.parent) for place in sorted(home.glob(f"*/{file}")))
        way_out = f"there are: {others}" if others else "reelrank up makes one"
        raise click.ClickException(f"no installation in {home}; {way_out} (--data-dir names it)")
    system = open_reelrank(settings)
    try:
        yield system
    finally:
        system.close()


def _told(key: "Key") -> dict[str, object]:
    import msgspec

    return msgspec.structs.asdict(key)


def _print(told: dict[str, object]) -> None:
    import msgspec

    click.echo(msgspec.json.encode(told).decode())


def _date(moment: float | None) -> str:
    return "never" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"

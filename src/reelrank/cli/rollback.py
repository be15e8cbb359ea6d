"""reelrank rollback: makes an earlier version live again."""

from pathlib import Path

import click

from reelrank.cli.options import config_option, data_dir_option, installation_from, json_option


@click.command
@click.argument("name")
@click.option("--version", default="", help="This one; without it, the newest that is older than the live one.")
@data_dir_option
@config_option
@json_option
def rollback(name: str, version: str, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Make an earlier version of the artifact NAME live again: ranker, two_tower, item_to_item, similar_users."""
    settings = installation_from(config, data_dir)
    import msgspec

    from reelrank.storage.event_log import StorageError
    from reelrank.training.publish import roll_back
    from reelrank.wiring import open_reelrank

    system = open_reelrank(settings)
    try:
        try:
            before, after = roll_back(system.artifacts, name, version)
        except StorageError as problem:
            raise click.ClickException(str(problem)) from None  # nothing is away: there is none
        left = system.artifacts.versions(name)
    finally:
        system.close()
    if as_json:
        click.echo(msgspec.json.encode({"name": name, "before": before, "live": after, "versions": left}).decode())
    else:
        click.echo(f"{name}: {after} is live again, in place of {before or 'nothing'}; there are: {', '.join(left)}")

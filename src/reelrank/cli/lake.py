"""reelrank lake: joins what was served with what came of it, and keeps events and examples as Delta tables."""

from datetime import UTC, datetime
from pathlib import Path

import click

from reelrank.cli.deployment import installation, role
from reelrank.cli.options import config_option, data_dir_option, json_option
from reelrank.cli.report import tell_json


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def lake(ctx: click.Context, config: Path | None) -> None:
    """Play one role: make training examples, and copy events and examples to the lake's tables."""
    if ctx.invoked_subcommand is None:
        with role(config) as (system, stopping):
            system.lake_role.follow(stopping.is_set, _report)


@lake.command
@data_dir_option
@config_option
@json_option
def status(data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Show the tables: rows, days, files, and how many records of the log are not copied yet."""
    from reelrank.events.lake_writer import TABLE_OF, position_name

    with installation(config, data_dir) as system:
        found = {}
        for topic, table in TABLE_OF.items():
            names = {partition: position_name(topic, partition) for partition in range(system.log.partitions)}
            told = system.lake.status(table, list(names.values()))
            lag = {name: system.log.end(topic, partition) - told.positions[name] for partition, name in names.items()}
            found[table] = told._asdict() | {"lag": lag, "lag_total": sum(lag.values())}
        url = system.lake.url
    if as_json:
        tell_json({"url": url, "tables": found})
        return
    click.echo(url)
    for table, told in found.items():
        days = f"{told['days']} days, {told['first_day']} to {told['last_day']}" if told["days"] else "no day yet"
        click.echo(f"  {table:<9} {told['rows']:>12,} rows  {told['files']:>6,} files  {told['megabytes']:>10,.1f} MB  {days}; {told['lag_total']:,} to copy")


@lake.command
@data_dir_option
@config_option
@json_option
def compact(data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Put the small files of each day together now, and delete days that are older than lake.retain_days."""
    from reelrank.cli.progress import TerminalProgress

    with installation(config, data_dir) as system, TerminalProgress().task("compact", total=2) as advance:
        today = datetime.fromtimestamp(system.clock.now(), UTC).date()
        compacted = system.lake.compact(today)
        advance(1)
        deleted_rows = system.lake.forget(today)
        advance(1)
    if as_json:
        tell_json({"compacted": compacted, "deleted_rows": deleted_rows})
    else:
        click.echo(f"put {compacted:,} files together, deleted {deleted_rows:,} rows of old days")


@lake.command
@data_dir_option
@config_option
@json_option
def vacuum(data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Remove files that have not belonged to a table for lake.vacuum_hours."""
    from reelrank.cli.progress import TerminalProgress

    with installation(config, data_dir) as system, TerminalProgress().task("vacuum", total=1) as advance:
        vacuumed = system.lake.vacuum()
        advance(1)
    if as_json:
        tell_json({"vacuumed": vacuumed})
    else:
        click.echo(f"removed {vacuumed:,} files")


def _report(done: dict[str, int]) -> None:
    click.echo(", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in done.items() if count) or "nothing yet")

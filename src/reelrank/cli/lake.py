"""reelrank lake: joins what was served with what came of it, and keeps events and examples as Delta tables."""

from pathlib import Path

import click

from reelrank.cli.options import config_option, data_dir_option, installation_from, json_option, settings_from


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def lake(ctx: click.Context, config: Path | None) -> None:
    """Play one role: make training examples, and copy events and examples to the lake's tables."""
    if ctx.invoked_subcommand is not None:
        return
    settings = settings_from(config)
    from reelrank.supervisor import die_with_supervisor, stop_signal
    from reelrank.wiring import open_reelrank

    die_with_supervisor()
    stopping = stop_signal()
    system = open_reelrank(settings)
    try:
        system.lake_role.follow(stopping.is_set, _report)
    finally:
        system.close()


@lake.command
@data_dir_option
@config_option
@json_option
def status(data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Show the tables: rows, days, files, and how many records of the log are not copied yet."""
    settings = installation_from(config, data_dir)
    import msgspec

    from reelrank.events.lake_writer import TABLE_OF, position_name
    from reelrank.wiring import open_reelrank

    system = open_reelrank(settings)
    try:
        found = {}
        for topic, table in TABLE_OF.items():
            names = {partition: position_name(topic, partition) for partition in range(system.log.partitions)}
            told = system.lake.status(table, list(names.values()))
            lag = {name: system.log.end(topic, partition) - told.positions[name] for partition, name in names.items()}
            found[table] = told._asdict() | {"lag": lag, "lag_total": sum(lag.values())}
    finally:
        system.close()
    if as_json:
        click.echo(msgspec.json.encode({"url": system.lake.url, "tables": found}).decode())
        return
    click.echo(system.lake.url)
    for table, told in found.items():
        days = f"{told['days']} days, {told['first_day']} to {told['last_day']}" if told["days"] else "no day yet"
        click.echo(f"  {table:<9} {told['rows']:>12,} rows  {told['files']:>6,} files  {told['megabytes']:>10,.1f} MB  {days}; {told['lag_total']:,} to copy")


@lake.command
@data_dir_option
@config_option
@json_option
def compact(data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Put the small files of each day together now, and delete days that are older than lake.retain_days."""
    _maintained(data_dir, config, as_json, vacuum=False)


@lake.command
@data_dir_option
@config_option
@json_option
def vacuum(data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Remove files that have not belonged to a table for lake.vacuum_hours."""
    _maintained(data_dir, config, as_json, vacuum=True)


def _maintained(data_dir: Path | None, config: Path | None, as_json: bool, vacuum: bool) -> None:
    settings = installation_from(config, data_dir)
    from datetime import UTC, datetime

    import msgspec

    from reelrank.cli.progress import TerminalProgress
    from reelrank.wiring import open_reelrank

    system = open_reelrank(settings)
    today = datetime.fromtimestamp(system.clock.now(), UTC).date()
    try:
        if vacuum:
            steps = {"vacuumed": lambda: system.lake.vacuum()}
        else:
            steps = {"compacted": lambda: system.lake.compact(today), "deleted_rows": lambda: system.lake.forget(today)}
        with TerminalProgress().task("vacuum" if vacuum else "compact", total=len(steps)) as advance:
            done = {}
            for name, step in steps.items():
                done[name] = step()
                advance(1)
    finally:
        system.close()
    if as_json:
        click.echo(msgspec.json.encode(done).decode())
    elif vacuum:
        click.echo(f"removed {done['vacuumed']:,} files")
    else:
        click.echo(f"put {done['compacted']:,} files together, deleted {done['deleted_rows']:,} rows of old days")


def _report(done: dict[str, int]) -> None:
    click.echo(", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in done.items() if count) or "nothing yet")

"""reelrank audit: what was served against what the log alone says."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from reelrank.cli.deployment import installation
from reelrank.cli.options import config_option, data_dir_option, json_option
from reelrank.cli.progress import TerminalProgress
from reelrank.cli.report import tell

_EVERYTHING = 200_000


@click.group
def audit() -> None:
    """Compute again from the log alone what was served, and compare."""


@audit.command
@click.option("--data", metavar="kuairand=PATH", help="Replay this log in a scratch deployment and look at that one; else the configured deployment.")
@click.option("--day", type=click.IntRange(19_700_101, 99_991_231), help="With --data: the day whose slates are looked at, as 20220506.")
@click.option("--policy", help="Only slates that this policy chose, such as reelrank.")
@click.option("--since", type=click.DateTime(), help="Only slates from this moment on (UTC), as 2025-06-15T12:00:00.")
@click.option("--limit", type=click.IntRange(min=1), default=_EVERYTHING, show_default=True, help="Only the latest so many slates.")
@data_dir_option
@config_option
@json_option
def skew(
    data: str | None, day: int | None, policy: str | None, since: datetime | None, limit: int, data_dir: Path | None, config: Path | None, as_json: bool
) -> None:
    """Compare the features of served slates, bit by bit, with what they should have been. Exits 1 when any differs."""
    if (data is None) != (day is None):
        raise click.UsageError("--data and --day belong together: which log, and which of its days")
    if data is not None and any(one is not None for one in (policy, since, data_dir, config)):
        raise click.UsageError("--policy, --since, --data-dir and --config are about a deployment; --data makes one of its own")
    from reelrank.benchmarks.skew_audit import as_numbers, audit_day, audit_deployment
    from reelrank.features.served_slates import Chosen

    began, progress = time.perf_counter(), TerminalProgress()
    if data is not None and day is not None:
        from reelrank.simulation.kuairand import KuaiRand

        kind, _, folder = data.partition("=")
        if kind != "kuairand" or not folder:
            raise click.UsageError(f"--data {data} can't be replayed; give kuairand=PATH")
        log = KuaiRand(Path(folder))
        found = audit_day(log, log.exposures(until_day=day), day, progress)
    else:
        chosen = Chosen(policy=policy, since=None if since is None else since.replace(tzinfo=UTC).timestamp(), limit=limit)
        with installation(config, data_dir) as system:
            found = audit_deployment(system, progress, chosen)
    tell(f"Served features against the log: {found.rows:,} compared", as_numbers(found, began), as_json)
    if not as_json:
        for one in found.examples:
            where = f"{one.feature} of {one.video_id} in {one.request_id} for {one.user_id}"
            click.echo(f"{where}: served {one.served!r}, should be {one.recomputed!r}")
        if found.rows == 0:
            click.echo("nothing was served that can be compared")
    if found.differences:
        raise SystemExit(1)

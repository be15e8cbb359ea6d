"""reelrank restart: new processes in place of those that answer, one after the other, while the others go on."""

import os
import signal
from pathlib import Path

import click

from reelrank.cli.options import config_option, data_dir_option, settings_from


@click.command
@data_dir_option
@config_option
def restart(data_dir: Path | None, config: Path | None) -> None:
    """Ask a running `reelrank up` for new replicas: one ends once its requests are answered, and the next one only when it is back."""
    from reelrank.supervisor import held_by

    folder = data_dir or Path(settings_from(config).data_dir)
    holder = held_by(folder)
    if holder is None:
        others = ", ".join(sorted(str(lock.parent) for lock in folder.glob("*/up.lock") if held_by(lock.parent) is not None))
        raise click.ClickException(f"no reelrank up runs in {folder}; {f'one does in {others}' if others else 'reelrank up starts one'} (--data-dir names it)")
    os.kill(holder, signal.SIGUSR1)
    click.echo(f"process {holder} was asked for it; what it prints says when it is done")

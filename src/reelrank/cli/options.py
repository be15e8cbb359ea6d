"""Options that several verbs share, and how settings come from them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from reelrank.config import Settings

SERVERS_FILE = "servers.toml"  # in a data folder: where the servers are that `reelrank up --servers` started for it


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--config FILE."""
    about = "Settings as TOML; without it the defaults, and REELRANK_* variables, hold."
    return click.option("--config", "config", type=click.Path(path_type=Path, dir_okay=False), help=about)(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")(command)


def backend_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--backend embedded|servers."""
    about = "Files alone, or Kafka, Redis and PostgreSQL, started for the measurement."
    return click.option("--backend", type=click.Choice(["embedded", "servers"]), default="embedded", show_default=True, help=about)(command)


def data_dir_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--data-dir FOLDER."""
    about = "Which installation: the folder that `reelrank up` keeps everything in."
    return click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help=about)(command)


def installation_from(config: Path | None, data_dir: Path | None) -> "Settings":
    """The settings of an installation that is there, or a clean end that names the ones there are."""
    import msgspec

    if config is None and data_dir is not None and (data_dir / SERVERS_FILE).exists():
        config = data_dir / SERVERS_FILE
    settings = settings_from(config)
    settings = msgspec.structs.replace(settings, data_dir=str(data_dir or settings.data_dir))
    home = Path(settings.data_dir)
    if settings.storage.event_log.startswith("file:") and not (home / settings.storage.event_log.removeprefix("file:")).is_dir():
        others = ", ".join(sorted({str(mark.parent) for kind in ("log", SERVERS_FILE) for mark in home.glob(f"*/{kind}")}))
        raise click.ClickException(f"no installation in {home}; {f'there are: {others}' if others else 'reelrank up makes one'} (--data-dir names it)")
    return settings


def settings_from(config: Path | None) -> "Settings":
    """The settings, or a clean end with the reason."""
    from reelrank.config import ConfigError, load

    try:
        return load(config)
    except ConfigError as problem:
        raise click.ClickException(str(problem)) from None

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


def address_in(text: str, option: str) -> tuple[str, int]:
    """The host and the port of HOST:PORT, an IPv6 address in brackets; or a clean end that names the option."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) <= 65_535:
        raise click.BadParameter(f"{text!r} is no HOST:PORT", param_hint=option)
    return host, int(port)


def settings_from(config: Path | None) -> "Settings":
    """The settings, or a clean end with the reason."""
    from reelrank.config import ConfigError, load

    try:
        return load(config)
    except ConfigError as problem:
        raise click.ClickException(str(problem)) from None

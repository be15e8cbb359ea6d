"""Options that several verbs share, and how settings come from them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from reelrank.config import Settings


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--config FILE."""
    about = "Settings as TOML; without it the defaults, and REELRANK_* variables, hold."
    return click.option("--config", "config", type=click.Path(path_type=Path, dir_okay=False), help=about)(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")(command)


def settings_from(config: Path | None) -> "Settings":
    """The settings, or a clean end with the reason."""
    from reelrank.config import ConfigError, load

    try:
        return load(config)
    except ConfigError as problem:
        raise click.ClickException(str(problem)) from None

"""What a verb works on: the deployment that it plays a role in, or an installation that is there."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from reelrank.cli.options import SERVERS_FILE, settings_from

if TYPE_CHECKING:
    from threading import Event

    from reelrank.config import Settings
    from reelrank.wiring import Reelrank

Part = Literal["event_log", "catalog"]  # of the storage


@contextmanager
def role(config: Path | None) -> "Iterator[tuple[Reelrank, Event]]":
    """The deployment in which this process plays a role, and what is set once it is told to end. It ends with its supervisor, too."""
    settings = settings_from(config)
    from reelrank.supervisor import die_with_supervisor, stop_signal
    from reelrank.wiring import open_reelrank

    die_with_supervisor()
    stopping = stop_signal()
    with closing(open_reelrank(settings)) as system:
        yield system, stopping


@contextmanager
def installation(config: Path | None, data_dir: Path | None, part: Part = "event_log") -> "Iterator[Reelrank]":
    """An installation whose `part` is there, so that nothing is looked for or left where nobody serves from; else a clean end that names those there are."""
    settings = _settings_of(config, data_dir, part)
    from reelrank.wiring import open_reelrank

    with closing(open_reelrank(settings)) as system:
        yield system


def model_named(name: str) -> str:
    """The model that is called so, with - or _ between its words; else a clean end that names those there are."""
    from reelrank.wiring import MODELS

    if (found := name.replace("-", "_")) not in MODELS:
        raise click.BadParameter(f"no model {name!r}; known: {', '.join(MODELS)}", param_hint="NAME")
    return found


def _settings_of(config: Path | None, data_dir: Path | None, part: Part) -> "Settings":
    import msgspec

    if config is None and data_dir is not None and (data_dir / SERVERS_FILE).exists():
        config = data_dir / SERVERS_FILE
    settings = settings_from(config)
    settings = msgspec.structs.replace(settings, data_dir=str(data_dir or settings.data_dir))
    scheme, _, place = getattr(settings.storage, part).partition(":")
    home = Path(settings.data_dir)
    if scheme == "file" and not (home / place).exists():  # servers answer for themselves
        others = ", ".join(sorted({str(mark.parent) for name in (place, SERVERS_FILE) for mark in home.glob(f"*/{name}")}))
        raise click.ClickException(f"no installation in {home}; {f'there are: {others}' if others else 'reelrank up makes one'} (--data-dir names it)")
    return settings

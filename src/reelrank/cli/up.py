"""reelrank up: everything on one machine, with a demo world, a folder of clips or a real log in it."""

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reelrank.cli.options import config_option, settings_from

if TYPE_CHECKING:
    from reelrank.cli.progress import TerminalProgress
    from reelrank.config import Settings
    from reelrank.simulation.client import FeedClient

_KINDS = ("kuairand", "clips")


@click.command
@click.option("--demo", is_flag=True, help="Bring a small world to life: films drawn here, simulated people who watch them.")
@click.option("--data", metavar="[KIND=]PATH", help=f"Bring in data instead: KIND is {' or '.join(_KINDS)}; without it the folder's content decides.")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Where everything is kept  [default: reelrank-data/NAME]")
@click.option("--port", type=click.IntRange(1, 65_535), help="Where the feed answers  [default: 8000]")
@click.option("--seed", type=int, default=7, show_default=True, help="Which demo world.")
@config_option
def up(demo: bool, data: str | None, data_dir: Path | None, port: int | None, seed: int, config: Path | None) -> None:
    """Run everything on this machine: the feed, the stream and the index, restarted when they die.

    What was brought in stays in the data folder: the next start goes on where this one ended.
    """
    from reelrank.cli.progress import TerminalProgress
    from reelrank.simulation.client import FeedClient
    from reelrank.supervisor import RoleFailed, running, stop_signal

    kind, path = _what(demo, data)
    settings, is_new = _prepare(settings_from(config), kind, path, data_dir, port)
    progress, stopping = TerminalProgress(), stop_signal()
    try:
        with running(settings) as supervisor, FeedClient(supervisor.url) as client:
            go_on = _bring_in(kind, path, is_new, settings, client, seed, progress)
            progress.console.print(f"\n[bold]The feed is at {supervisor.url}[/]   (Ctrl-C ends it; everything stays in {settings.data_dir})\n")
            if go_on is not None:
                threading.Thread(target=go_on, args=(stopping.wait,), name="living-world", daemon=True).start()
            stopping.wait()
            progress.console.print("stopping …")
    except RoleFailed as problem:
        raise click.ClickException(str(problem)) from None


def _what(demo: bool, data: str | None) -> tuple[str, Path]:
    """The kind of data, and where it is. No data at all is `empty`."""
    if data is None:
        return ("demo" if demo else "empty"), Path()
    kind, equals, rest = data.partition("=")
    if not equals:
        kind, rest = "", data
    path = Path(rest).expanduser()
    if not path.is_dir():
        raise click.ClickException(f"no folder at {path}; --data takes a folder with a KuaiRand log or with clips")
    kind = kind or ("kuairand" if (path / "impressions.parquet").exists() else "clips")
    if kind not in _KINDS:
        raise click.ClickException(f"no data of kind {kind!r}; known: {', '.join(_KINDS)}")
    return kind, path


def _prepare(settings: "Settings", kind: str, path: Path, data_dir: Path | None, port: int | None) -> tuple["Settings", bool]:
    """The settings of this deployment, and whether its data folder is new. A log of the past shifts the clock, once and for all."""
    import msgspec

    from reelrank.simulation.demo import last_moment

    folder = data_dir or Path(settings.data_dir) / kind
    serving = msgspec.structs.replace(settings.serving, port=port or settings.serving.port)
    settings = msgspec.structs.replace(settings, data_dir=str(folder), serving=serving)
    marker = folder / "brought-in.json"
    if marker.exists():
        try:
            shift_s = msgspec.json.decode(marker.read_bytes(), type=dict[str, float])["clock_shift_s"]
        except (msgspec.DecodeError, KeyError) as problem:
            raise click.ClickException(f"{marker} can't be read ({problem}); remove {folder} to bring the data in again") from None
    else:
        shift_s = last_moment(path) - time.time() if kind == "kuairand" else settings.clock_shift_s
    return msgspec.structs.replace(settings, clock_shift_s=shift_s), not marker.exists()


def _bring_in(kind: str, path: Path, is_new: bool, settings: "Settings", client: "FeedClient", seed: int, progress: "TerminalProgress"):
    """Fills an empty deployment; returns what goes on behind the open page, if anything does."""
    import msgspec

    from reelrank.simulation import demo

    media = Path(settings.data_dir) / settings.serving.media
    marker = Path(settings.data_dir) / "brought-in.json"
    go_on = None
    if kind == "demo":
        from reelrank.simulation.world import World

        now = marker.stat().st_mtime if not is_new else time.time()
        world = demo.LivingWorld(World.from_seed(seed, now=float(int(now))), client, media)
        if is_new:
            world.open(progress)
        go_on = world.go_on
    elif kind == "clips" and is_new:
        for skipped in demo.publish_clips(client, path, media, progress):
            progress.console.print(f"left out {skipped.path}: {skipped.reason}")
    elif kind == "kuairand" and is_new:
        demo.publish_kuairand(client, path, progress)
    draft = marker.with_suffix(".part")
    draft.write_bytes(msgspec.json.encode({"clock_shift_s": settings.clock_shift_s}))
    draft.replace(marker)  # whole, or not at all
    return go_on

"""reelrank explain: a slate of the past, made again from the log, place by place."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reelrank.cli.deployment import installation
from reelrank.cli.options import config_option, data_dir_option, json_option
from reelrank.cli.progress import TerminalProgress
from reelrank.cli.report import tell_json

if TYPE_CHECKING:
    from reelrank.benchmarks.slate_rerun import Explained


@click.command
@click.argument("request_id")
@data_dir_option
@config_option
@json_option
def explain(request_id: str, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Make a slate again from the log and the artifacts alone, and compare. Exits 1 when it differs."""
    from reelrank.benchmarks.slate_rerun import explain as made_again

    with installation(config, data_dir) as system:
        found = made_again(system, request_id, TerminalProgress())
    tell_json(found) if as_json else _show(found)
    if not found.same:
        raise SystemExit(1)


def _show(found: "Explained") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    moment = datetime.fromtimestamp(found.served_at, UTC)
    console.print(
        f"{found.request_id} for {found.user_id}, served {moment:%Y-%m-%d %H:%M:%S} UTC by {found.policy} with params {found.params}, seed {found.seed}"
    )
    for name, version in found.models.items():
        console.print(f"  {name} {version}")
    counts = Table(title="What was proposed, and what was removed", title_justify="left", show_header=False)
    for name, count in found.candidates.items():
        counts.add_row("proposed by", name, str(count))
    for why, count in found.removed.items():
        counts.add_row("removed", why, str(count))
    console.print(counts)
    names = list(dict.fromkeys(name for place in found.again for name in place.parts))
    slate = Table("", "video", "score", *names, "sources", "chance", "why", title="The slate, made again", title_justify="left")
    for number, place in enumerate(found.again, 1):
        chance = "" if place.propensity is None else f"{place.propensity:.3g}"
        numbers = [f"{place.parts.get(name, 0.0):+.3f}" for name in names]
        slate.add_row(str(number), place.video_id, f"{place.score:.3f}", *numbers, ", ".join(place.sources), chance, place.reason)
    console.print(slate)
    console.print("The same slate came out." if found.same else "It differs from what was served:")
    for one in found.differences:
        console.print(f"  {one}")
    for one in found.missing:
        console.print(f"  ({one})")
    if found.differences and not found.missing:
        console.print("  (nothing that is on record explains it)")

"""reelrank evaluate: how good the models are, on public data, beside their peers."""

import os
import sys
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click

from reelrank.cli.options import json_option
from reelrank.cli.progress import TerminalProgress
from reelrank.cli.report import tell

_DAY = click.DateTime(["%Y-%m-%d", "%Y%m%d"])


@click.group
def evaluate() -> None:
    """Judge the models on public data, with fixed protocols, beside peers that are trained by the same command on the same data.

    Data are looked for in $REELRANK_DATA unless --data names them.
    """


def study_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--models, --seeds and --json."""
    command = json_option(command)
    command = click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How often everything is trained anew.")(command)
    return click.option("--models", metavar="NAME,…", help="Only these; reelrank is ours, the others are its peers.")(command)


def data_option(what: str, required: bool = False, dir_okay: bool = True, file_okay: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--data PATH."""
    there = click.Path(path_type=Path, exists=True, dir_okay=dir_okay, file_okay=file_okay)
    return click.option("--data", type=there, required=required, help=f"{what}.")


def cache_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--cache FOLDER."""
    about = "Where examples are kept that take minutes to make  [default: reelrank in the user's cache folder]"
    return click.option("--cache", type=click.Path(path_type=Path, file_okay=False), help=about)(command)


def days_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--test-from and --test-until."""
    command = click.option("--test-until", type=_DAY, default="2022-05-06", show_default=True, help="The last day that is judged.")(command)
    return click.option("--test-from", type=_DAY, default="2022-05-05", show_default=True, help="The first day that is judged; nothing of it is learned.")(
        command
    )


@evaluate.command
@data_option("The folder of KuaiRand-Pure")
@days_options
@cache_option
@study_options
def kuairand(
    data: Path | None, test_from: datetime, test_until: datetime, cache: Path | None, models: str | None, seeds: int, as_json: bool
) -> None:  # fmt: skip
    """The ranker: what people clicked, watched long and liked, and how long they watched, on days that it has not seen."""
    from reelrank.studies import kuairand_ranker as study

    named = _names(models, study.MODELS) if models else None
    try:
        with TerminalProgress().task("KuaiRand: examples, trainings", 0) as on_progress:
            numbers = study.evaluate(_at(data, "kuairand-pure"), _cache(cache), named, seeds, _number(test_from), _number(test_until), on_progress)
    except study.PeerMissing as problem:
        raise click.ClickException(str(problem)) from problem
    tell("KuaiRand-Pure, ranker", numbers, as_json)
    if named and numbers["skipped"]:
        sys.exit(1)


@evaluate.command
@data_option("The folder of KuaiRand-Pure")
@days_options
@json_option
def feed(data: Path | None, test_from: datetime, test_until: datetime, as_json: bool) -> None:
    """The whole feed: slates of 20 from the running system against what people then watched long."""
    from reelrank.studies import kuairand_feed as study

    with TerminalProgress().task("feeds", 0) as on_progress:
        numbers = study.evaluate(_at(data, "kuairand-pure"), _number(test_from), _number(test_until), on_progress)
    tell("KuaiRand-Pure, feed", numbers, as_json)


@evaluate.command
@data_option("The folder of KuaiRand-Pure")
@days_options
@click.option("--pictures", type=click.Path(path_type=Path, file_okay=False), help="Draw the curves into this folder, as SVG.")
@json_option
def slates(data: Path | None, test_from: datetime, test_until: datetime, pictures: Path | None, as_json: bool) -> None:
    """Diversity, novelty, coverage and watch time over the slate's params, on KuaiRand's days before the test days and in simulated visits."""
    from reelrank.studies import slates as study
    from reelrank.studies.slate_plots import draw

    with TerminalProgress().task("slates", 0) as on_progress:
        numbers = study.evaluate(_at(data, "kuairand-pure"), _number(test_from), _number(test_until), on_progress)
    if pictures is not None:
        draw(numbers, pictures)
    tell("Slates over their params", numbers, as_json)


@evaluate.command
@data_option("The folder of KuaiRand-Pure")
@cache_option
@json_option
def streaming(data: Path | None, cache: Path | None, as_json: bool) -> None:
    """What learning while people watch is worth: the ranker's AUC by how often serving gets what was learned."""
    from reelrank.studies import streaming as study

    with TerminalProgress().task("streaming", 0) as on_progress:
        numbers = study.evaluate(_at(data, "kuairand-pure"), _cache(cache), on_progress)
    tell("KuaiRand-Pure, streaming", numbers, as_json)


@evaluate.command
@json_option
def cold(as_json: bool) -> None:
    """Videos that nobody has watched: a tenth of KuaiRand's and TikTok's hidden from training, and found again by their content."""
    from reelrank.studies import cold as study

    with TerminalProgress().task("cold videos", 0) as on_progress:
        numbers = study.evaluate(_at(None, "tiktok"), _at(None, "kuairand-pure"), on_progress=on_progress)
    tell("Cold videos", numbers, as_json)


class _Form(NamedTuple):
    """How data lie, and the study of `reelrank.studies` that judges models on them."""

    study: str
    title: str
    about: str
    is_file: bool


_SEQUENCES = _Form("leave_one_out", "The next of each sequence", "A line per user: `user item item …` in time order", is_file=True)
_PAIRS = _Form("graph", "The graph", "A folder with train.parquet and test.parquet", is_file=False)


def _verb(name: str, form: _Form, about: str, place: str = "") -> None:
    """Judges models on the data of a form at `place` below $REELRANK_DATA, unless --data names others; without a place it has to."""
    kind = "file" if form.is_file else "folder"
    option = data_option(f"Another {kind} of this form") if place else data_option(form.about, required=True, dir_okay=not form.is_file, file_okay=form.is_file)

    @evaluate.command(name, help=about)
    @option
    @study_options
    def one(data: Path | None, models: str | None, seeds: int, as_json: bool) -> None:
        path, study = _at(data, place), import_module(f"reelrank.studies.{form.study}")
        with TerminalProgress().task("trainings", 0) as on_progress:
            numbers = study.evaluate(path, _names(models, study.MODELS), seeds, on_progress)
        tell(f"{form.title} in {path.parent.name if path.is_file() else path.name}", numbers, as_json)


_verb("beauty", _SEQUENCES, "Amazon Beauty: the next thing in each user's sequence.", "amazon-beauty/sequences.txt")
_verb("sequences", _SEQUENCES, "Any file of sequences: the last thing of each is found among all.")
_verb("tiktok", _PAIRS, "TikTok micro-videos: a graph of users and videos, with pictures and sounds.", "tiktok")
_verb("gowalla", _PAIRS, "Gowalla: a graph of users and places.", "gowalla")
_verb("graph", _PAIRS, "Any graph of users and videos: pairs that were held out are found among all.")


def _at(given: Path | None, name: str) -> Path:
    """The data that are named, or those below $REELRANK_DATA."""
    if given is not None:
        return given
    home = os.environ.get("REELRANK_DATA")
    if home is None:
        raise click.ClickException(f"no --data, and $REELRANK_DATA is not set: say where {name} is")
    path = Path(home) / name
    if not path.exists():
        raise click.ClickException(f"no {path}; --data says where the data are")
    return path


def _cache(given: Path | None) -> Path:
    return given or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reelrank"


def _names(models: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """The models of `a,b`, all of them without."""
    names = tuple(models.split(",")) if models else known
    if unknown := [name for name in names if name not in known]:
        raise click.BadParameter(f"no model {', '.join(unknown)}; known: {', '.join(known)}", param_hint="--models")
    return names


def _number(day: datetime) -> int:
    """A day as the log writes it: 20220505."""
    return day.year * 10_000 + day.month * 100 + day.day

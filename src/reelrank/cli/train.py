"""reelrank train: learns while people watch, and trains models anew from the lake."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reelrank.cli.deployment import installation, role
from reelrank.cli.options import config_option, data_dir_option, json_option

if TYPE_CHECKING:
    from reelrank.cli.progress import TerminalProgress
    from reelrank.training.examples import TrainingSet
    from reelrank.wiring import Reelrank

_LOOK_S = 2.0


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def train(ctx: click.Context, config: Path | None) -> None:
    """Play one role: learn while people watch, and train the models anew from the lake."""
    if ctx.invoked_subcommand is not None:
        return
    with role(config) as (system, stopping):
        while not _something_to_learn(system):  # until then this process stays as small as it is
            if stopping.wait(_LOOK_S):
                return
        system.train_role.follow(stopping.is_set)


def _model(name: str, about: str) -> None:
    @train.command(name, help=about)
    @click.option("--data", metavar="kuairand=FOLDER", help="Learn from this log instead of the lake; its videos must be those of the catalogue.")
    @click.option("--seed", type=int, default=0, show_default=True, help="Makes what is left to chance.")
    @click.option("--anyway", is_flag=True, help="Publish it even if it is worse than what is live, never if it is unsound.")
    @data_dir_option
    @config_option
    @json_option
    def one(data: str | None, seed: int, anyway: bool, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
        _train(name.replace("-", "_"), data, seed, anyway, data_dir, config, as_json)


_model("ranker", "Train the ranker anew and publish it, if it passes the gates.")
_model("two-tower", "Train the two towers anew and publish them, if they pass the gates.")
_model("graph", "Train the graph anew and publish it, if it passes the gates.")


def _train(name: str, data: str | None, seed: int, anyway: bool, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    from reelrank.cli.progress import TerminalProgress
    from reelrank.cli.publish import tell_verdict

    progress = TerminalProgress()
    with installation(config, data_dir) as system:
        examples = None if data is None else _from_log(system, data, progress)
        with progress.task(f"steps of the {name.replace('_', ' ')}", total=0) as on_progress:
            verdict = system.retraining.retrain(name, seed, on_progress, anyway, examples)
    tell_verdict(verdict, as_json)


def _from_log(system: "Reelrank", data: str, progress: "TerminalProgress") -> "TrainingSet":
    kind, _, path = data.partition("=")
    folder = Path(path).expanduser()
    if kind != "kuairand" or not folder.is_dir():
        raise click.BadParameter(f"{data!r}; known: kuairand=FOLDER, of a folder that is there", param_hint="--data")
    from reelrank.simulation.kuairand import KuaiRand
    from reelrank.studies.kuairand_examples import examples_of

    video_ids = [video.video_id for video in KuaiRand(folder).videos()]
    if [system.columns.row_of(video_id) for video_id in video_ids] != list(range(len(video_ids))):
        raise click.ClickException(
            f"the catalogue of this installation does not begin with the videos of {folder}; bring them in with reelrank up --data {data}"
        )
    with progress.task("exposures through the system", total=0) as on_progress:
        return examples_of(folder, Path(system.settings.data_dir) / "runs" / "examples", on_progress)[0]


def _something_to_learn(system: "Reelrank") -> bool:
    from reelrank.storage.event_log import StorageError
    from reelrank.storage.lake_schema import EXAMPLES_TABLE

    try:
        return system.artifacts.current("ranker") is not None or system.lake.status(EXAMPLES_TABLE, []).rows >= system.settings.train.min_examples
    except StorageError:
        return False  # away just now

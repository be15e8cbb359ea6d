"""One file per verb of the loop."""

import importlib
import os

import click

import reelrank

# before anything loads NumPy: our matrices are small, its threads would only wait for each other on cores that the roles share
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# in the order of the loop; the help of each verb stands here so that `reelrank --help` loads nothing else
VERBS: dict[str, tuple[str, str]] = {
    "up": ("up", "Run everything on this machine: the feed, the stream, the lake, the index and the training."),
    "serve": ("serve", "Play one role: answer feeds, collect events, show the page."),
    "stream": ("stream", "Play one role: fold the event log into the online store."),
    "lake": ("lake", "Play one role: join what was served with what came of it, copy the log to the lake."),
    "index": ("index", "Play one role: rebuild what recall reads from what people watched."),
    "train": ("train", "Play one role: learn while people watch, and train the models anew from the lake."),
    "restart": ("restart", "Put new processes in place of those that answer, one after the other."),
    "models": ("models", "Show what is live of each model, and what came of its last training."),
    "publish": ("publish", "Make a candidate live, if it passes the gates."),
    "rollback": ("rollback", "Make an earlier version live again."),
    "rules": ("rules", "Boost, pin, hide, expire and mute, and see who did."),
    "keys": ("keys", "Make, list and revoke API keys."),
    "dead-letters": ("dead_letters", "Look at refused events and send them in again."),
    "replay": ("replay", "Replay a real log through the whole loop and measure it."),
    "audit": ("audit", "Compute the features of served slates again from the log alone and compare."),
    "explain": ("explain", "Make a slate of the past again from the log alone, place by place."),
    "evaluate": ("evaluate", "Judge the models on public data, beside their peers."),
    "bench": ("bench", "Measure this machine: speed, freshness, overload, faults."),
    "deploy": ("deploy", "Write the configuration of what stands around: HAProxy in front of replicas."),
    "doctor": ("doctor", "Say what is installed, reachable and missing."),
}

_TO_MEND = {
    "ConfigError",
    "DataError",
    "ExamplesError",
    "KeyProblem",
    "NotExplained",
    "PortTaken",
    "RoleFailed",
    "RuleProblem",
    "SequencesError",
    "StorageError",
}  # by name: --help should not load their modules


class _Away(click.ClickException):
    """A store can't be used just now."""

    exit_code = 75  # "try again later", as sysexits.h has it: the supervisor does


class _Verbs(click.Group):
    """Loads a verb's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _ = VERBS[cmd_name]
        return getattr(importlib.import_module(f"reelrank.cli.{module}"), module)

    def invoke(self, ctx: click.Context) -> object:
        """What a user can mend ends with its reason, not with a traceback."""
        try:
            return super().invoke(ctx)
        except Exception as problem:
            names = {kind.__name__ for kind in type(problem).__mro__}  # RedisAway is a StorageError, too
            if names.isdisjoint(_TO_MEND):
                raise
            raise (_Away if "StorageError" in names else click.ClickException)(str(problem)) from problem

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs, in the order of the loop"):
            formatter.write_dl([(name, about) for name, (_, about) in VERBS.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(reelrank.__version__, prog_name="reelrank")
def main() -> None:
    """The For You feed of a short-video app: events in, a personal feed out, learning while people watch."""

"""Training news: what came of trainings, and what was rolled back, a line each, for those who run a deployment."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.last_runs import LastRun, LastRuns

_LOOK_S = 1.0
_LONGEST_REASON = 300
_TOLD = ("auc_long_view", "auc_click", "auc_like", "recall_at_")  # the metrics that matter, by how their names begin


def follow(artifacts: ArtifactStore, say: Callable[[str], None], stopping: threading.Event) -> None:
    """Says what came of the last training of each model, and from then on of each that ends, and what is rolled back, until `stopping` is set."""
    last_runs = LastRuns(artifacts.root)
    said: dict[tuple[str, str], LastRun] = {}
    known: dict[str, tuple[str, list[str]]] = {}  # name -> what was live and what there was when it was looked at
    while True:
        for name in artifacts.names():
            before, there = known.get(name, ("", []))
            live = artifacts.live(name)
            known[name] = live, artifacts.versions(name)
            if live != before and live in there:
                say(f"{moment(time.time())}  {called(name)} rolled back: {live} is live again, in place of {before or 'nothing'}")
        for run in last_runs.all():
            if said.get((run.model, run.how)) != run:
                said[run.model, run.how] = run
                say(line(run) + since(run, artifacts))
        if stopping.wait(_LOOK_S):
            return


def line(run: LastRun) -> str:
    """When it ended, in local time, what was trained, and what came of it."""
    done = f"trained anew in {run.seconds:,.0f} s" if run.how == "anew" else "learned online"
    return f"{moment(run.ended_at)}  {called(run.model)} {done}: {_outcome(run)}"


def since(run: LastRun, artifacts: ArtifactStore) -> str:
    """What became of the version that a training published, if it is not live any more; else nothing."""
    live = artifacts.live(run.model)
    if run.version in ("", live):
        return ""
    return f"; rolled back, {live} is live" if live in artifacts.before(run.model, run.version) else f"; now {live or 'nothing'} is live"


def moment(at: float) -> str:
    """A moment (UTC seconds) in local time."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def called(name: str) -> str:
    """A model or a metric as people call it."""
    return name.replace("auc_", "AUC ").replace("_at_", "@").replace("_", " ")


def is_told(metric: str) -> bool:
    """Whether a metric matters to those who run a deployment."""
    return metric.startswith(_TOLD)


def _outcome(run: LastRun) -> str:
    if run.outcome == "failed":
        return f"failed, {_short(run.problem)}"
    if run.outcome == "refused":
        return f"refused, {_short('; '.join(run.reasons))}"
    numbers = ", ".join(_number(run, name) for name in run.metrics if is_told(name))
    return f"published as {run.version}" + (f" ({numbers})" if numbers else "")


def _number(run: LastRun, name: str) -> str:
    return f"{called(name)} {run.metrics[name]:.4f}" + (f" {run.gains[name]:+.4f}" if name in run.gains else "")


def _short(reason: str) -> str:
    told = " ".join(reason.split())
    return told if len(told) <= _LONGEST_REASON else f"{told[:_LONGEST_REASON]} …"

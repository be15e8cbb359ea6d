"""Training news: what came of trainings, a line each, for those who run a deployment."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from reelrank.storage.last_runs import LastRun, LastRuns

_LOOK_S = 1.0
_LONGEST_REASON = 300
_TOLD = ("auc_long_view", "auc_click", "auc_like", "recall_at_")  # the metrics that matter, by how their names begin


def follow(last_runs: LastRuns, say: Callable[[str], None], stopping: threading.Event) -> None:
    """Says what came of the last training of each model, and from then on of each that ends, until `stopping` is set."""
    said: dict[tuple[str, str], LastRun] = {}
    while True:
        for run in last_runs.all():
            if said.get((run.model, run.how)) != run:
                said[run.model, run.how] = run
                say(line(run))
        if stopping.wait(_LOOK_S):
            return


def line(run: LastRun) -> str:
    """When it ended, in local time, what was trained, and what came of it."""
    at = datetime.fromtimestamp(run.ended_at, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    done = f"trained anew in {run.seconds:,.0f} s" if run.how == "anew" else "learned online"
    return f"{at}  {run.model.replace('_', ' ')} {done}: {_outcome(run)}"


def _outcome(run: LastRun) -> str:
    if run.outcome == "failed":
        return f"failed, {_short(run.problem)}"
    if run.outcome == "refused":
        return f"refused, {_short('; '.join(run.reasons))}"
    numbers = ", ".join(_number(run, name) for name in run.metrics if name.startswith(_TOLD))
    return f"published as {run.version}" + (f" ({numbers})" if numbers else "")


def _number(run: LastRun, name: str) -> str:
    called = name.replace("auc_", "AUC ").replace("_at_", "@").replace("_", " ")
    return f"{called} {run.metrics[name]:.4f}" + (f" {run.gains[name]:+.4f}" if name in run.gains else "")


def _short(reason: str) -> str:
    told = " ".join(reason.split())
    return told if len(told) <= _LONGEST_REASON else f"{told[:_LONGEST_REASON]} …"

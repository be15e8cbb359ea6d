"""What is live, as an operator sees it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from reelrank.cli.models import models
from reelrank.storage.last_runs import LastRun
from reelrank.wiring import MODELS, Reelrank

Run = Callable[..., str]


@pytest.fixture
def run(system: Reelrank) -> Run:
    def _run(*words: str) -> str:
        done = CliRunner().invoke(models, [*words, "--data-dir", system.settings.data_dir], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return _run


def touch(folder: Path) -> None:
    (folder / "a").touch()


def test_while_nothing_is_live_it_says_how_much_is_missing(run: Run) -> None:
    told = run()
    assert [line for line in told.splitlines() if line.endswith(": nothing is live")] == [f"{name}: nothing is live" for name in MODELS]
    assert "the lake holds 0 examples; the first training needs 2,000 (train.min_examples)" in told
    assert json.loads(run("--json").splitlines()[-1]) == {"models": [], "trainings": [], "examples": {"there": 0, "needed": 2_000}}


def test_it_shows_each_version_how_good_it_is_and_what_came_of_the_last_training(system: Reelrank, run: Run) -> None:
    before = system.artifacts.publish("ranker", 1.0, touch).manifest.version
    live = system.artifacts.publish("ranker", 1_750_000_000.0, touch, {"auc_click": 0.7555, "held_out": 1_200}).manifest
    refused = LastRun(model="ranker", outcome="refused", ended_at=1_750_000_900.0, seconds=3.0, reasons=("auc_click is worse",))
    system.last_runs.keep(refused)
    lines = run().splitlines()
    assert lines[0].startswith(f"ranker: {live.version}, made 2025-06-1")
    assert lines[1] == "    AUC click 0.7555, held out 1,200"
    assert lines[2].endswith("ranker trained anew in 3 s: refused, auc_click is worse")
    told = json.loads(run("--json").splitlines()[-1])
    (shown,) = told["models"]
    assert (shown["name"], shown["version"], shown["created_at"]) == ("ranker", live.version, 1_750_000_000.0)
    assert (shown["versions"], shown["about"]) == ([before, live.version], live.about)
    assert [run["reasons"] for run in told["trainings"]] == [["auc_click is worse"]]
    assert told["examples"] is None


def test_what_can_be_named_is_what_a_process_follows(system: Reelrank) -> None:
    assert tuple(published.name for published in system.models) == MODELS

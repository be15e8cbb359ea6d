"""Training, publishing and rolling back as an operator does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reelrank.wiring import Reelrank

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def system(open_system: Callable[..., Reelrank]) -> Reelrank:
    """An installation in which nothing has happened yet."""
    made = open_system()
    assert made.log.end("events", 0) == 0 and made.catalog is not None
    return made


@pytest.fixture
def run(system: Reelrank) -> Run:
    def _run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "reelrank.cli", *words, "--data-dir", system.settings.data_dir]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=dict(os.environ), check=False)

    return _run


def test_a_bad_version_is_rolled_back_with_one_command(system: Reelrank, run: Run) -> None:
    one, two, three = (system.artifacts.publish("ranker", at, lambda folder: (folder / "a").touch()).manifest.version for at in (1.0, 2.0, 3.0))
    done = run("rollback", "ranker", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"name": "ranker", "before": three, "live": two, "versions": [one, two, three]}
    assert system.artifacts.current("ranker").manifest.version == two
    told = run("rollback", "ranker", "--version", three)
    assert f"ranker: {three} is live again, in place of {two}" in told.stdout


def test_with_nothing_to_learn_from_or_to_judge_by_it_says_so(run: Run, tmp_path: Path) -> None:
    done = run("train", "ranker")
    assert done.returncode == 1 and "holds no example to learn from" in done.stderr
    candidate = tmp_path / "candidate"
    candidate.mkdir()
    refused = run("publish", "ranker", str(candidate))
    assert refused.returncode == 1 and "holds no example to learn from" in refused.stderr
    wrong = run("publish", "two-tower", str(candidate))
    assert wrong.returncode == 1 and "only ranker is published from a folder, not 'two_tower'" in wrong.stderr
    unknown = run("train", "ranker", "--data", "movielens=.")
    assert unknown.returncode == 2 and "known: kuairand=FOLDER" in unknown.stderr

"""Rules as an operator makes them on the command line, and slates that are made again there."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reelrank.feed import FeedRequest
from reelrank.wiring import Reelrank
from small_feed import SmallApp

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def app(open_system: Callable[..., Reelrank]) -> SmallApp:
    return SmallApp(open_system)


@pytest.fixture
def run(app: SmallApp, tmp_path: Path) -> Run:
    """Runs a verb on the app's installation."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "reelrank.cli", *words, "--data-dir", str(tmp_path / "data")]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=dict(os.environ), check=False)

    return run


def as_json(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_rule_is_made_listed_removed_and_on_record(run: Run, app: SmallApp) -> None:
    made = as_json(
        run("rules", "add", "boost", "tag", "chess", "--times", "1.5", "--region", "PT", "--end", "2040-01-01T00:00:00", "--note", "season", "--json")
    )
    assert (made["times"], made["ends_at"], made["made_by"].endswith("(command line)")) == (1.5, 2_208_988_800.0, True)
    assert [rule.rule_id for rule in app.system.rules.all()] == [made["rule_id"]]
    listed = run("rules", "list").stdout
    assert f"{made['rule_id']}  boost tag chess x 1.5 in PT until 2040-01-01 00:00:00  (season)  [in force]" in listed
    assert run("rules", "remove", made["rule_id"]).stdout.startswith("removed r-")
    changes = as_json(run("rules", "audit", "--json"))["changes"]
    assert [(change["number"], change["after"] is None) for change in changes] == [(2, True), (1, False)]
    assert run("rules", "list").stdout == "there are no rules; `reelrank rules add` makes one\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("add", "pin", "tag", "chess"), "a tag can't be the target of pin"),
        (("add", "boost", "tag", "chess", "--times", "-1"), "this can't be a rule"),
        (("remove", "r-1"), "there is no rule 'r-1'"),
    ],
)
def test_what_can_not_be_done_ends_with_its_reason(run: Run, words: tuple[str, ...], reason: str) -> None:
    done = run("rules", *words)
    assert (done.returncode, reason in done.stderr) == (1, True), done.stderr


def test_a_slate_is_made_again_and_shown_place_by_place(run: Run, app: SmallApp) -> None:
    app.watches("ana", 1, 5)
    app.system.feed.refresh()
    slate = app.system.feed.recommend(FeedRequest(user_id="ana", count=3), app.clock.now())
    app.system.feed.flush()
    done = run("explain", slate.request_id)
    assert done.returncode == 0, done.stderr
    assert "The same slate came out." in done.stdout
    assert run("explain", "nonsense").returncode == 1

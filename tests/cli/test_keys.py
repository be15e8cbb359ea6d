"""Keys as an operator makes them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reelrank.wiring import Reelrank

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def keys(open_system: Callable[..., Reelrank], tmp_path: Path) -> Run:
    """Runs `reelrank keys …` on an installation."""
    assert open_system().catalog is not None

    def run(*words: str, data_dir: Path = tmp_path / "data") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "reelrank.cli", "keys", *words, "--data-dir", str(data_dir)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=dict(os.environ), check=False)

    return run


def as_json(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_key_is_made_listed_and_revoked_and_its_secret_shown_once(keys: Run) -> None:
    made = as_json(keys("create", "--name", "the app", "--scope", "events:write", "--scope", "feed:read", "--json"))
    assert made["scopes"] == ["events:write", "feed:read"]
    assert made["key"].startswith(f"rl_{made['key_id']}_")
    shown = keys("create", "--name", "grafana", "--scope", "admin").stdout
    assert shown.startswith("rl_") and "can't be shown again" in shown
    listed = keys("list")
    assert "the app  [events:write, feed:read]  made 20" in listed.stdout and "last used never" in listed.stdout
    assert made["key"] not in listed.stdout + keys("list", "--json").stdout
    assert as_json(keys("revoke", "the app", "--json"))["key_id"] == made["key_id"]
    assert [key["revoked_at"] is None for key in as_json(keys("list", "--json"))["keys"]] == [False, True]


def test_what_can_not_be_done_ends_with_its_reason(keys: Run, tmp_path: Path) -> None:
    unknown = keys("create", "--name", "x", "--scope", "everything")
    assert unknown.returncode == 1 and "there is no scope 'everything'; known: events:write, feed:read" in unknown.stderr
    assert keys("create", "--name", "x").returncode == 2
    nobody = keys("revoke", "nobody")
    assert nobody.returncode == 1 and "key 'nobody' does not exist" in nobody.stderr
    above = keys("list", data_dir=tmp_path)
    assert above.returncode == 1 and f"no installation in {tmp_path}; there are: {tmp_path / 'data'}" in above.stderr
    assert not (tmp_path / "catalog.sqlite").exists()

"""reelrank lake: the role and its three verbs, as processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from features.slate_log import open_slate_log, visits
from reelrank.benchmarks.example_check import check_events, check_examples
from reelrank.config import Settings, StorageConfig, as_environment
from reelrank.storage.lake import LakeConfig
from reelrank.wiring import open_reelrank


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation whose log holds some visits."""
    slates = open_slate_log(tmp_path)
    slates.append(*visits(0, 60))
    slates.close()
    return Settings(data_dir=str(tmp_path), storage=StorageConfig(partitions=2), lake=LakeConfig(flush_s=0.1, flush_rows=50))


def run(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reelrank.cli", "lake", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | as_environment(settings), check=True)


def told(settings: Settings, *words: str) -> dict[str, object]:
    return json.loads(run(settings, *words, "--json").stdout.splitlines()[-1])


def test_the_role_makes_examples_and_fills_the_tables_until_it_is_told_to_stop(settings: Settings) -> None:
    before = told(settings, "status")
    assert before["tables"]["events"]["rows"] == 0
    assert before["tables"]["events"]["lag_total"] > 100
    role = subprocess.Popen([sys.executable, "-m", "reelrank.cli", "lake"], env=os.environ | as_environment(settings), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while (found := told(settings, "status")["tables"])["events"]["lag_total"] or not found["examples"]["rows"]:
        assert time.monotonic() < deadline
    role.send_signal(signal.SIGTERM)
    assert role.communicate(timeout=20)[1] == ""
    assert role.returncode == 0
    system = open_reelrank(settings)
    system.lake_role.catch_up()
    assert check_examples(system.log, system.lake, system.columns, settings.attribution)[:2] == (0, 0)
    assert check_events(system.log, system.lake)[:2] == (0, 0)
    system.close()


def test_status_says_what_the_tables_hold_and_what_they_lack(settings: Settings) -> None:
    system = open_reelrank(settings)
    system.lake_role.catch_up()
    system.close()
    page = run(settings, "status").stdout
    assert "events" in page and "examples" in page and "1 days, 2025-06-15 to 2025-06-15; 0 to copy" in page
    table = told(settings, "status")["tables"]["events"]
    assert set(table["lag"]) == set(table["positions"]) == {"events-0", "events-1"}
    assert table["days"] == 1 and table["files"] > 1


def test_compact_puts_days_together_and_vacuum_has_nothing_to_remove_yet(settings: Settings) -> None:
    system = open_reelrank(settings)
    system.lake_role.catch_up()
    system.close()
    files = told(settings, "status")["tables"]["events"]["files"]
    assert told(settings, "compact")["compacted"] >= files
    assert told(settings, "status")["tables"]["events"]["files"] == 1
    assert "removed 0 files" in run(settings, "vacuum").stdout


def test_a_folder_without_an_installation_is_named(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(Settings(), data_dir=str(tmp_path / "nowhere"))
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(settings, "status")
    assert "no installation in" in failed.value.stderr

"""DIN and MMoE through files: the environment is theirs, and a missing one is told."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from reelrank.simulation.kuairand import KuaiRand
from reelrank.studies.peer_networks import PeerMissing, din, interpreter, mmoe
from studies.made_log import DAYS, circles, training_set

INSTALL = Path(__file__).parents[2] / "scripts" / "peers"


@pytest.fixture
def no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELRANK_PEERS", str(tmp_path / "nowhere"))


@pytest.mark.usefixtures("no_environment")
def test_a_missing_environment_is_told_with_what_makes_it(tmp_path: Path):
    with pytest.raises(PeerMissing, match="make setup"):
        interpreter()
    exposures = KuaiRand(circles(tmp_path)).exposures()
    test = exposures.days == DAYS[-1]
    with pytest.raises(PeerMissing, match="nowhere"):
        din(training_set(exposures), tmp_path, ~test, test)


def test_an_environment_without_the_library_is_told_with_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 'ModuleNotFoundError: torch_rechub' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setenv("REELRANK_PEERS", str(tmp_path / "env"))
    exposures = KuaiRand(circles(tmp_path)).exposures()
    test = exposures.days == DAYS[-1]
    with pytest.raises(PeerMissing, match=r"mmoe failed .* torch_rechub"):
        mmoe(training_set(exposures), tmp_path, ~test, test)


@pytest.mark.usefixtures("peers")
@pytest.mark.parametrize("peer", [din, mmoe])
def test_every_test_row_is_predicted(peer, tmp_path: Path):
    exposures = KuaiRand(circles(tmp_path)).exposures()
    test = exposures.days == DAYS[-1]
    found = peer(training_set(exposures), tmp_path, ~test, test)
    assert set(found) >= {"click", "long_view", "like"}
    assert ("watch_s" in found) == (peer is mmoe)
    assert all(values.shape == (test.sum(),) and np.isfinite(values).all() for values in found.values())


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_without_a_venv_to_stand_beside_the_peers_are_not_installed_which_fails_in_ci_alone(tmp_path: Path, ci: str, code: int):
    (tmp_path / "scripts").mkdir()
    shutil.copy(INSTALL, tmp_path / "scripts")
    done = subprocess.run([tmp_path / "scripts" / "peers"], env=os.environ | {"CI": ci}, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "make setup" in done.stderr
    assert not (tmp_path / ".venv-peers").exists()

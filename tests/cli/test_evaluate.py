"""What `evaluate` says before it begins."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from reelrank.cli import main


def test_a_peer_that_is_named_and_is_not_there_is_an_error_with_what_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELRANK_PEERS", str(tmp_path / "nowhere"))
    done = CliRunner().invoke(main, ["evaluate", "kuairand", "--models", "reelrank,din", "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "scripts/peers makes it" in done.output


def test_a_model_that_nobody_knows_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["evaluate", "kuairand", "--models", "gru", "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert "no model gru; known: reelrank, lightgbm, lightgbm_stream, din, mmoe" in done.output

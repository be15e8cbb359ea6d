"""The studies as a user types them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from circles import of_circles, watched_by
from reelrank.cli import main
from simulation.small_log import shown, write
from studies.pair_files import write_split
from walks import as_lines, walks


def evaluate(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *words], env={"REELRANK_DATA": None, **environment})


def sequences(folder: Path) -> Path:
    file = folder / "walks.txt"
    file.write_text(as_lines(walks(40, 20, np.random.default_rng(0))))
    return file


def graph(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    write_split(folder, np.nonzero(watched_by(40, of_circles(2, 10), rng)), rng)
    return folder


@pytest.mark.parametrize(("verb", "write"), [("sequences", sequences), ("beauty", sequences), ("graph", graph), ("gowalla", graph)])
def test_a_study_reads_the_data_that_are_named(verb: str, write: Callable[[Path], Path], tmp_path: Path) -> None:
    done = evaluate(verb, "--data", str(write(tmp_path)), "--models", "popular", "--seeds", "1", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["models"].keys() == {"popular"}


@pytest.mark.parametrize("content", [b"", b"\n\n", b"1 a b\n", b"1 \xff b c d\n", b"1 a b c\n"])
def test_a_file_of_sequences_that_can_not_be_studied_is_an_error_with_its_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(content)
    done = evaluate("sequences", "--data", str(tmp_path / "bad.txt"))
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert str(tmp_path / "bad.txt") in done.stderr


@pytest.mark.parametrize("verb", ["kuairand", "feed"])
def test_days_that_a_log_does_not_have_are_an_error_with_those_it_has(verb: str, tmp_path: Path) -> None:
    write(tmp_path, [shown(5, 0, 0.0)])
    done = evaluate(verb, "--data", str(tmp_path), "--test-from", "2023-01-01", "--test-until", "2023-01-02")
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert "the log has the days from 20220425 to 20220425; give other test days (--test-from, --test-until)" in done.stderr


def test_data_that_are_missing_are_named() -> None:
    assert "Missing option '--data'" in evaluate("sequences").stderr
    assert "say where gowalla is" in evaluate("gowalla").stderr


def test_a_peer_that_is_named_and_is_not_there_is_an_error_with_what_makes_it(tmp_path: Path) -> None:
    done = evaluate("kuairand", "--models", "reelrank,din", "--data", str(tmp_path), REELRANK_PEERS=str(tmp_path / "nowhere"))
    assert done.exit_code == 1
    assert "scripts/peers makes it" in done.output


def test_a_model_that_nobody_knows_is_named(tmp_path: Path) -> None:
    done = evaluate("kuairand", "--models", "gru", "--data", str(tmp_path))
    assert done.exit_code == 2
    assert "no model gru; known: reelrank, lightgbm, lightgbm_stream, din, mmoe" in done.output

"""The studies as a user types them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from circles import of_circles, watched_by
from reelrank.cli import main
from studies.pair_files import write_split
from walks import as_lines, walks


def evaluate(*words: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *words], env={"REELRANK_DATA": None})


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


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert "Missing option '--data'" in evaluate("sequences").stderr
    assert "say where gowalla is" in evaluate("gowalla").stderr
    unknown = evaluate("sequences", "--data", str(sequences(tmp_path)), "--models", "nobody,popular")
    assert unknown.exit_code == 2 and "no model nobody; known: reelrank" in unknown.stderr

"""The studies as a user types them."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from reelrank.cli import main

USERS, THINGS = 40, 20


def evaluate(*words: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *words], env={"REELRANK_DATA": None})


def sequences(folder: Path) -> Path:
    """Everybody goes round the same round."""
    file = folder / "walks.txt"
    file.write_text("\n".join(f"{user} {' '.join(str((user + step) % THINGS) for step in range(6))}" for user in range(USERS)))
    return file


def graph(folder: Path) -> Path:
    """Two circles: who is even watches what is even."""
    pairs = [(user, video) for user in range(USERS) for video in range(user % 2, THINGS, 2)]
    for place, name in enumerate(("train", "test")):
        pl.DataFrame([pair for pair in pairs if (sum(pair) // 2 % 5 == 0) == place], schema=["user", "video"], orient="row").write_parquet(
            folder / f"{name}.parquet"
        )
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

"""What can be named where something is rolled back."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reelrank.cli import main
from reelrank.wiring import Reelrank

Run = Callable[..., Result]


@pytest.fixture
def rollback(system: Reelrank) -> Run:
    return lambda *words: CliRunner().invoke(main, ["rollback", *words, "--data-dir", system.settings.data_dir])


def publish(system: Reelrank, name: str, made_at: float) -> str:
    def touch(folder: Path) -> None:
        (folder / "a").touch()

    return system.artifacts.publish(name, made_at, touch).manifest.version


@pytest.mark.parametrize("name", ["ranker", "two_tower", "graph", "item_to_item", "similar_users"])
def test_each_model_is_rolled_back_by_either_spelling_to_what_was_live_before(system: Reelrank, rollback: Run, name: str) -> None:
    one, two, _ = (publish(system, name, made_at) for made_at in (1.0, 3.0, 2.0))
    assert rollback(name.replace("_", "-")).exit_code == 0
    assert system.artifacts.live(name) == two
    assert f"{name}: {one} is live again, in place of {two}" in rollback(name).output
    first = rollback(name)
    assert first.exit_code == 1 and f"nothing is kept of '{name}' that was live before {one}" in first.output


def test_one_that_is_not_there_is_answered_with_those_that_are(system: Reelrank, rollback: Run) -> None:
    publish(system, "ranker", 1.0)
    unknown = rollback("ranger")
    assert unknown.exit_code == 2 and "no model 'ranger'; known: ranker, two_tower, graph, item_to_item, similar_users" in " ".join(unknown.output.split())
    none = rollback("graph")
    assert none.exit_code == 1 and "no version of 'graph'; there are versions of: ranker" in none.output

"""Checkpoints are there as a whole or not at all."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reelrank.training.checkpoints import Checkpoints


def fill(text: str, breaks: bool = False) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "part").mkdir()
        (folder / "part" / "a.txt").write_text(text)
        if breaks:
            raise OSError("no space left on device")
        (folder / "b.txt").write_text(text)

    return write


def latest(checkpoints: Checkpoints, file: str) -> str:
    folder = checkpoints.latest()
    assert folder is not None
    return (folder / file).read_text()


def test_the_newest_counts_and_the_one_before_stays(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.latest() is None
    for text in "abcd":
        checkpoints.write(fill(text))
    assert latest(checkpoints, "b.txt") == "d"
    assert latest(Checkpoints(tmp_path / "checkpoints"), "part/a.txt") == "d"
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_one_that_was_not_finished_counts_for_nothing(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.write(fill("whole"))
    with pytest.raises(OSError, match="no space left"):
        checkpoints.write(fill("half", breaks=True))
    assert latest(checkpoints, "b.txt") == "whole"
    checkpoints.write(fill("next"))
    assert latest(checkpoints, "b.txt") == "next"


def test_forgotten_ones_are_gone(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.write(fill("a"))
    checkpoints.forget()
    assert checkpoints.latest() is None

"""What can't be read is told by its path, the innermost one that somebody was reading."""

from pathlib import Path

import pytest
import torch

from reelrank.training.unreadable import Unreadable, load_tensors, reading
from training.damage import flipped, pickled


def test_whatever_a_reader_raises_is_about_the_innermost_path() -> None:
    with pytest.raises(Unreadable, match=r"^folder/file can't be read: KeyError: 'name'$"), reading(Path("folder")), reading(Path("folder/file")):
        raise KeyError("name")
    with pytest.raises(Unreadable, match=r"^folder can't be read: EOFError$"), reading(Path("folder")):
        raise EOFError


def test_tensors_are_read_as_they_were_written_and_nothing_is_run(tmp_path: Path) -> None:
    file = tmp_path / "some.pt"
    torch.save({"weights": torch.arange(1_000.0)}, file)
    assert torch.equal(load_tensors(file)["weights"], torch.arange(1_000.0))
    flipped(file)
    with pytest.raises(Unreadable, match=r"some\.pt can't be read: ValueError: the checksum of .* differs"):
        load_tensors(file)
    pickled(file)
    with pytest.raises(Unreadable, match=r"some\.pt can't be read"):
        load_tensors(file)

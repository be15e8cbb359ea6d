"""Arrays come back as they were saved, and never as anything that could be run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from reelrank.storage.array_record import ArrayRecord


@dataclass(frozen=True, slots=True)
class Pair(ArrayRecord):
    """Two arrays."""

    rows: np.ndarray
    weights: np.ndarray


def test_arrays_come_back_with_their_names_types_and_shapes(tmp_path: Path) -> None:
    saved = Pair(np.arange(6, dtype=np.int32).reshape(2, 3), np.array([0.5, np.nan], dtype=np.float32))
    saved.save(tmp_path / "pair.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["pair.bin"]  # the name is the caller's
    loaded = Pair.load(tmp_path / "pair.bin")
    for name in ("rows", "weights"):
        one, other = getattr(saved, name), getattr(loaded, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}, None], dtype=object)
    with pytest.raises(ValueError, match="allow_pickle"):
        Pair(np.arange(2), objects).save(tmp_path / "pair.npz")
    np.savez(tmp_path / "evil.npz", rows=np.arange(2), weights=objects)
    with pytest.raises(ValueError, match="allow_pickle"):
        Pair.load(tmp_path / "evil.npz")


def test_a_file_that_lacks_an_array_is_refused_by_its_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "half.npz", rows=np.arange(2))
    with pytest.raises(KeyError, match="weights"):
        Pair.load(tmp_path / "half.npz")

"""Columns that processes share: what one writes others see, and what somebody holds can be read for as long as they hold it."""

import gc
from pathlib import Path

import numpy as np
import pytest

from reelrank.storage.event_log import StorageError
from reelrank.storage.shared_columns import Field, SharedColumns

FIELDS = (Field("age", "<f8"), Field("tags", "<i8", 3))


def filled(folder: Path, rows: int) -> SharedColumns:
    columns = SharedColumns(folder, FIELDS, form=1)
    every = np.arange(rows)
    with columns.writing():
        columns.write(every, {"age": every / 2, "tags": np.tile(every[:, None], 3)}, [(b"name", b"of all")], revision=1)
        columns.fill()
    return columns


def test_arrays_that_somebody_holds_stay_readable_after_the_columns_are_closed(tmp_path: Path) -> None:
    columns = filled(tmp_path, 5_000)
    age, some = columns.views["age"], columns.views["tags"][4_990:]
    columns.close()
    del columns
    gc.collect()
    assert (age[[0, 4_999]].tolist(), some[9].tolist()) == ([0.0, 2_499.5], [4_999] * 3)
    again = SharedColumns(tmp_path, FIELDS, form=1)
    assert (again.head.filled, again.get(b"name"), again.views["age"][3]) == (5_000, b"of all", 1.5)
    again.close()


def test_arrays_from_before_the_columns_grew_show_what_is_written_later(tmp_path: Path) -> None:
    columns = filled(tmp_path, 10)
    held = columns.views["age"]
    with columns.writing():
        columns.write(np.array([3, 9_000]), {"age": np.array([7.0, 8.0]), "tags": np.zeros((2, 3), dtype=np.int64)}, [], revision=2)
        columns.fill()
    assert (held[3], columns.head.filled, columns.views["age"][9_000]) == (7.0, 9_001, 8.0)
    columns.close()


def test_a_folder_without_the_names_that_are_looked_for_now_is_refused_with_the_way_out(tmp_path: Path) -> None:
    filled(tmp_path, 10).close()
    with pytest.raises(StorageError, match=f"the columns at {tmp_path} are of another release: remove that folder"):
        SharedColumns(tmp_path, FIELDS, form=2)

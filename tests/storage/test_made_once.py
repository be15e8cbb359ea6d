"""Tests of arrays that one process of a machine makes and the others map."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from reelrank.storage.event_log import StorageError
from reelrank.storage.made_once import MadeOnce, Maker

ARRAYS = {"rows": np.arange(5), "nothing": np.empty((0, 3)), "scores": np.linspace(0, 1, 12).reshape(4, 3), "count": np.asarray(7)}


def made(folder: Path, form: int = 1) -> MadeOnce:
    """The view of another process."""
    return MadeOnce(Maker(folder), "trends", form)


@pytest.fixture(name="writer")
def _writer(tmp_path: Path) -> MadeOnce:
    writer = made(tmp_path)
    assert writer.mine(holds_s=60)
    return writer


def test_what_one_process_writes_the_others_map_once_each(writer: MadeOnce, tmp_path: Path) -> None:
    reader = made(tmp_path)
    assert reader.news() is None
    writer.write(ARRAYS)
    found = reader.news()
    assert found is not None and found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and not found[name].flags.writeable
    assert reader.news() is writer.news() is None
    writer.write({"rows": np.arange(3)})
    later = reader.news()
    assert later is not None and later["rows"].tolist() == [0, 1, 2]
    assert found["rows"].tolist() == [0, 1, 2, 3, 4], "who still has the old file keeps it"


def test_what_stays_the_same_is_neither_written_nor_read_again(writer: MadeOnce, tmp_path: Path) -> None:
    reader, path = made(tmp_path), tmp_path / "trends"
    writer.write(ARRAYS)
    assert reader.news() is not None
    before = path.stat()
    os.utime(path, (1, 1))
    writer.news()
    writer.write(ARRAYS)
    assert (path.stat().st_ino, path.stat().st_mtime > 1) == (before.st_ino, True)
    assert reader.news() is None


@pytest.mark.parametrize("damage", ["half", "empty", "zeros", "one bit", "another file"])
def test_a_damaged_file_is_refused_with_a_line_in_the_log_and_made_anew(
    writer: MadeOnce, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    writer.write(ARRAYS)
    path = tmp_path / "trends"
    whole = path.read_bytes()
    bit = bytearray(whole)
    bit[-40] ^= 4
    path.write_bytes({"half": whole[: len(whole) // 2], "empty": b"", "zeros": bytes(len(whole)), "one bit": bytes(bit), "another file": b"PK" * 300}[damage])
    reader = made(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert reader.news() is reader.news() is None
    assert [str(path) in line and "made anew" in line for line in caplog.messages] == [True]
    writer.write(ARRAYS)
    assert reader.news() is not None


def test_the_form_of_another_release_is_refused(writer: MadeOnce, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer.write(ARRAYS)
    assert made(tmp_path, form=2).news() is None
    assert "form 1" in caplog.text


def test_who_is_first_makes_until_somebody_comes_who_is_meant_to_and_again_after_that(tmp_path: Path) -> None:
    first, second, role = (Maker(tmp_path) for _ in range(3))
    assert (first.mine(), second.mine()) == (True, False)
    role.meant = True
    assert (role.mine(), first.mine()) == (False, False), "it is made by one at a time"
    assert (role.mine(), first.mine(), second.mine()) == (True, False, False)
    role.close()
    assert (second.mine(), first.mine()) == (True, False)
    second.close()


def test_one_of_several_that_are_meant_to_makes(tmp_path: Path) -> None:
    first, second = Maker(tmp_path), Maker(tmp_path)
    first.meant = second.meant = True
    assert (first.mine(), second.mine(), first.mine()) == (True, False, True)
    first.close()
    assert second.mine()
    second.close()


def test_what_was_made_a_moment_ago_is_left_alone_unless_it_is_damaged(writer: MadeOnce, tmp_path: Path) -> None:
    writer.write(ARRAYS)
    writer._maker.close()
    late = made(tmp_path)
    assert not late.mine(holds_s=60)
    (tmp_path / "trends").write_bytes(b"")
    late.news()
    assert late.mine(holds_s=60)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"can.t claim .*file"):
        Maker(tmp_path / "file").mine()

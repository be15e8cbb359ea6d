"""Tests of how sequences are read and cut: nothing of the test is learned from, nothing held is offered again."""

from pathlib import Path

import numpy as np
import pytest

from reelrank.studies.sequence_data import SequencesError, ndcg, places, read

LINES = "1 a b c d e\n2 c d\n3 e c a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sequences.txt").write_text(LINES)
    return tmp_path


def test_the_last_item_is_the_test_and_the_one_before_it_the_validation(folder: Path) -> None:
    data = read(folder)
    assert (data.users, len(data.items)) == (2, 5)  # whoever has two items is left out
    test, valid = data.split(1), data.split(2)
    assert data.items[test.target].tolist() == ["e", "a"]
    assert data.items[valid.target].tolist() == ["d", "c"]
    assert [data.items[test.rows[start:end]].tolist() for start, end in zip(test.start, test.end, strict=True)] == [["a", "b", "c", "d"], ["e", "c"]]
    rows, indptr = data.training
    assert [data.items[rows[start:end]].tolist() for start, end in zip(indptr[:-1], indptr[1:], strict=True)] == [["a", "b", "c"], ["e"]]


def test_the_items_that_a_history_holds_are_told_oldest_first(folder: Path) -> None:
    data = read(folder)
    owner, items = data.split(1).held(slice(0, 2))
    assert owner.tolist() == [0, 0, 0, 0, 1, 1]
    assert data.items[items].tolist() == ["a", "b", "c", "d", "e", "c"]
    assert data.items[data.split(2).held(slice(1, 2))[1]].tolist() == ["e"]


def test_a_target_is_ranked_among_what_the_history_does_not_hold(folder: Path) -> None:
    data = read(folder)

    def backwards(split: object, some: slice) -> np.ndarray:
        return np.tile(np.arange(5, dtype=np.float32), (some.stop - some.start, 1))  # a worst, e best

    assert places(backwards, data.split(1)).tolist() == [0, 2]  # for the second user b and d are better than a
    assert ndcg(backwards, data.split(1)) == pytest.approx((1 + 0.5) / 2)


def test_a_target_that_the_history_holds_is_never_found(tmp_path: Path) -> None:
    (tmp_path / "again.txt").write_text("1 a b b b\n2 b a a a\n")
    data = read(tmp_path / "again.txt")
    assert ndcg(lambda _, some: np.ones((some.stop - some.start, 2), dtype=np.float32), data.split(1)) == 0.0


def test_attributes_beside_the_file_are_the_tags_of_its_items(folder: Path) -> None:
    (folder / "item_attributes.json").write_text('{"a": [3, 7], "d": [1], "unheard": [9, 9, 9]}')
    data = read(folder / "sequences.txt")
    assert data.name == folder.name
    assert [row[row >= 0].tolist() for row in data.features.tags] == [[2, 3], [], [], [1], []]


def test_tags_are_numbered_by_how_many_there_are_not_by_what_they_are_called(folder: Path) -> None:
    (folder / "item_attributes.json").write_text('{"a": [100000000000, -4], "d": [100000000000]}')
    assert [row[row >= 0].tolist() for row in read(folder).features.tags] == [[2, 1], [], [], [2], []]


def test_a_file_without_attributes_has_no_tags(folder: Path) -> None:
    assert read(folder).features.tags.shape == (5, 0)


def test_what_is_no_file_of_sequences_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SequencesError, match="no sequences in"):
        read(tmp_path)
    (tmp_path / "sequences.txt").write_text("1 a b\n2\n\n")
    with pytest.raises(SequencesError, match="none of the 3 lines"):
        read(tmp_path)


def test_only_plain_white_space_parts_a_line_and_only_a_line_break_parts_users(tmp_path: Path) -> None:
    file = tmp_path / "spaces.txt"
    file.write_bytes("1 i\u00a01 i\u20281 i1\0 \t i1\r\n2 i1 i1\0 x\x85\n".encode())
    data = read(file)
    assert data.users == 2
    assert data.items.tolist() == ["i1", "i1\0", "i\u00a01", "i\u20281", "x\x85"]


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("1 a b c\n2 caf\u00e9 a b\n".encode("latin-1"))
    with pytest.raises(SequencesError, match=r"line 2 of .*latin\.txt has the byte 0xe9, which is not UTF-8"):
        read(tmp_path / "latin.txt")


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"a": "red"}', '{"a": [0.5]}', '{"a": [1}'])
def test_attributes_of_another_form_are_refused(folder: Path, content: str) -> None:
    (folder / "item_attributes.json").write_text(content)
    with pytest.raises(SequencesError, match=r"item_attributes\.json is not \{item: "):
        read(folder)

"""Rows as bytes and back, in records that are not too large."""

import numpy as np
import pytest

from reelrank.features.row_index import NO_KEY
from reelrank.models import row_updates
from reelrank.models.id_tables import Changes
from reelrank.models.row_updates import RowUpdate, decode_update, encode_updates


def changes(count: int, width: int = 4) -> Changes:
    rng = np.random.default_rng(count)
    return Changes(np.arange(1, count + 1), rng.integers(0, 99, count), rng.normal(size=(count, width)).astype(np.float32))


def test_what_is_encoded_is_decoded() -> None:
    sent = RowUpdate("v1", 7, 12.5, {"video": changes(5), "tag": Changes(np.array([3]), np.array([NO_KEY]), np.zeros((1, 2), dtype=np.float32))})
    (record,) = encode_updates(sent)
    got = decode_update(record)
    assert (got.base, got.sequence, got.learned_until, got.begins) == ("v1", 7, 12.5, False)
    for name, of in sent.tables.items():
        assert all(np.array_equal(mine, yours) for mine, yours in zip(of, got.tables[name], strict=True))


def test_a_large_update_is_several_records_that_count_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_updates, "MOST_ROWS", 10)
    got = [decode_update(record) for record in encode_updates(RowUpdate("v1", 3, 0.0, {"video": changes(23), "tag": changes(9)}))]
    assert [one.sequence for one in got] == [3, 4, 5, 6]
    assert [sum(len(of.rows) for of in one.tables.values()) for one in got] == [10, 10, 10, 2]
    assert np.array_equal(np.concatenate([one.tables["video"].rows for one in got if "video" in one.tables]), changes(23).rows)


def test_an_update_without_rows_begins_anew() -> None:
    (record,) = encode_updates(RowUpdate("v1", 0, 0.0, {}))
    assert decode_update(record).begins


@pytest.mark.parametrize("record", [b"", b"\x90", b"\xff" * 9])
def test_what_is_no_update_is_refused(record: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_update(record)

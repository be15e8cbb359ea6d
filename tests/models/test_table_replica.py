"""TableReplica: mapped without a copy, equal after every change, and never a guess when one was missed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reelrank.models.id_tables import IdTable, IdTableConfig
from reelrank.models.table_replica import TableReplica


@pytest.fixture
def table() -> IdTable:
    table = IdTable(IdTableConfig(width=4, admit_after=1, expire_after_s=10.0, first_rows=8))
    table.admit(np.arange(6), 0.0)
    return table


def equal(replica: TableReplica, table: IdTable, keys: np.ndarray) -> bool:
    return np.array_equal(replica.look_up(keys), table.look_up(keys)) and np.array_equal(replica.rows_of(keys), table.rows_of(keys))


def test_what_it_applies_stays_its_own(table: IdTable, tmp_path: Path) -> None:
    table.save(tmp_path)
    saved = (tmp_path / "weights.npy").read_bytes()
    one, other = TableReplica.load(tmp_path), TableReplica.load(tmp_path)
    mark = table.edition
    table.weights[1] = 9
    table.note_change(np.array([1]))
    one.apply(*table.changes_since(mark))
    assert equal(one, table, np.arange(6)) and not equal(other, table, np.arange(6))
    assert (tmp_path / "weights.npy").read_bytes() == saved


def test_it_follows_a_table_that_has_grown(table: IdTable, tmp_path: Path) -> None:
    table.save(tmp_path)
    replica, mark = TableReplica.load(tmp_path), table.edition
    table.admit(np.arange(1_000), 1.0)
    replica.apply(*table.changes_since(mark))
    assert equal(replica, table, np.arange(1_100))


def test_who_has_no_row_any_more_has_none_here_either(table: IdTable, tmp_path: Path) -> None:
    table.save(tmp_path)
    replica, mark = TableReplica.load(tmp_path), table.edition
    table.admit(np.array([2, 3]), 9.0)
    table.expire(15.0)
    replica.apply(*table.changes_since(mark))
    assert np.count_nonzero(replica.rows_of(np.arange(6))) == 2
    assert equal(replica, table, np.arange(6))
    table.admit(np.arange(4, 9), 15.0)
    replica.apply(*table.changes_since(mark))  # with what it knows already
    assert equal(replica, table, np.arange(10))


def test_only_what_has_changed_is_sent(table: IdTable) -> None:
    mark = table.edition
    assert len(table.changes_since(0).rows) == 6 and len(table.changes_since(mark).rows) == 0
    table.note_change(np.array([4, 2]))
    assert table.changes_since(mark).rows.tolist() == [2, 4]


def test_a_missed_change_is_noticed_before_anything_is_written(table: IdTable, tmp_path: Path) -> None:
    table.save(tmp_path)
    replica, before = TableReplica.load(tmp_path), table.look_up(np.arange(6))
    table.expire(20.0)
    missed = table.edition
    table.admit(np.array([3, 0]), 21.0)  # other rows than they had
    with pytest.raises(ValueError, match="a change was missed; load the table anew"):
        replica.apply(*table.changes_since(missed))
    assert np.array_equal(replica.look_up(np.arange(6)), before)


def test_rows_of_another_width_are_refused(table: IdTable, tmp_path: Path) -> None:
    table.save(tmp_path)
    with pytest.raises(ValueError, match="of width 4"):
        TableReplica.load(tmp_path).apply(np.array([1]), np.array([1]), np.zeros((1, 5), dtype=np.float32))


def test_serving_looks_ids_up_without_torch() -> None:
    program = "import sys, reelrank.models.table_replica, reelrank.models.id_tables; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)

"""Rows that change while they are read: always whole updates, and no id ever reads another's row."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelrank.features.row_index import NO_KEY
from reelrank.models.id_tables import Changes, IdTable, IdTableConfig
from reelrank.models.live_tables import KeyedTable, LiveRows, LiveTable, LiveTables


def empty() -> LiveTable:
    return LiveTable(np.zeros(0, dtype=np.int64), np.zeros((1, 2), dtype=np.float32))


def keyed() -> KeyedTable:
    return KeyedTable(np.full(1, NO_KEY), np.zeros((1, 2), dtype=np.float32))


def changes(*rows: tuple[int, int, float]) -> Changes:
    row, key, value = zip(*rows, strict=True)
    return Changes(np.array(row), np.array(key), np.repeat(np.array(value, dtype=np.float32)[:, None], 2, axis=1))


def read(table: LiveRows, *ids: int) -> list[float]:
    return table.weights[table.rows_of(np.array(ids)), 0].tolist()


def test_it_begins_with_what_was_published() -> None:
    table = LiveTable(np.array([0, 2, 1]), np.array([[0, 0], [1, 1], [2, 2]], dtype=np.float32))
    assert read(table, 0, 1, 2, 3, -1) == [0, 2, 1, 0, 0]


@pytest.mark.parametrize("made", [empty, keyed])
def test_rows_and_ids_that_are_new_find_room(made: Callable[[], LiveRows]) -> None:
    table = made()
    table.apply(changes((9, 70, 1.5), (3, 5, 2.5)))
    assert read(table, 70, 5, 6, 71) == [1.5, 2.5, 0, 0]


@pytest.mark.parametrize("made", [empty, keyed])
def test_who_gets_another_row_has_the_old_one_no_more(made: Callable[[], LiveRows]) -> None:
    table = made()
    table.apply(changes((1, 5, 1.0), (2, 6, 2.0)))
    table.apply(changes((2, 5, 3.0)))  # what became of row 1 is told in another record
    assert read(table, 5, 6) == [3.0, 0.0]
    table.apply(changes((1, 6, 4.0)))
    assert read(table, 5, 6) == [3.0, 4.0]
    table.apply(changes((1, 5, 5.0), (2, 6, 6.0)))
    assert read(table, 5, 6) == [5.0, 6.0]
    table.apply(changes((1, NO_KEY, 0.0)))
    assert read(table, 5, 6) == [0.0, 6.0]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.booleans()), max_size=25), st.integers(1, 5))
def test_it_stays_equal_to_the_table_that_learns(rounds: list[tuple[list[int], bool]], cut: int) -> None:
    learning = IdTable(IdTableConfig(width=2, admit_after=1, first_rows=2, max_rows=12, expire_after_s=3.0, spread=1.0))
    tables, edition = (empty(), keyed()), 0
    for now, (ids, sends) in enumerate(rounds):
        learning.admit(np.array(ids), float(now))
        learning.expire(float(now))
        if sends or now == len(rounds) - 1:
            rows, keys, weights = learning.changes_since(edition)
            edition = learning.edition
            for at in range(0, len(rows), cut):
                for table in tables:
                    table.apply(Changes(rows[at : at + cut], keys[at : at + cut], weights[at : at + cut]))
    everyone = np.arange(31)
    assert all(np.array_equal(table.look_up(everyone), learning.look_up(everyone)) for table in tables)


def test_who_holds_the_tables_sees_updates_whole() -> None:
    tables = LiveTables({"video": LiveTable(np.arange(100), np.zeros((100, 2), dtype=np.float32)), "tag": empty()})
    ended = threading.Event()

    def change() -> None:
        for number in range(1, 2_000):
            value = float(number)
            tables.apply({"video": changes(*((row, row, value) for row in range(1, 100))), "tag": changes((1, 0, value))})
        ended.set()

    thread = threading.Thread(target=change)
    thread.start()
    seen = set()
    while not ended.is_set():
        with tables.held() as held:
            values = {*read(held["video"], *range(1, 100)), *read(held["tag"], 0)}
        assert len(values) == 1
        seen |= values
    thread.join()
    assert len(seen) > 1


def test_rows_of_another_model_are_refused_and_change_nothing() -> None:
    tables = LiveTables({"video": empty(), "tag": empty()})
    with pytest.raises(ValueError, match="rows of 'sound' of shape"):
        tables.apply({"video": changes((1, 5, 1.0)), "sound": changes((1, 5, 1.0))})
    with pytest.raises(ValueError, match="rows of 'tag' of shape"):
        tables.apply({"video": changes((1, 5, 1.0)), "tag": Changes(np.array([1]), np.array([5]), np.ones((1, 3), dtype=np.float32))})
    with tables.held() as held:
        assert read(held["video"], 5) == [0.0]

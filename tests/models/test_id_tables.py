"""IdTable against a dict of rows: who has one, for how long, and that nobody ever reads a stranger's."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reelrank.features.row_index import NO_KEY
from reelrank.models.id_tables import IdTable, IdTableConfig
from reelrank.models.table_replica import TableReplica

WIDTH, EXPIRES_S = 3, 20.0
CONFIG = IdTableConfig(width=WIDTH, admit_after=2, expire_after_s=EXPIRES_S, first_rows=4, max_rows=1_000, spread=0.5, seed=7)
UNIVERSE = [*range(12), -(2**40), 2**62]
BATCHES = st.lists(st.sampled_from([*UNIVERSE, NO_KEY]), max_size=12)
ARRAYS = ("weights", "squares", "touched_at", "changed")


def ids(keys: list[int] | range) -> np.ndarray:
    return np.array(keys, dtype=np.int64)


def alone(key: int) -> np.ndarray:
    """What an id's row holds in a table that has never seen anything else."""
    table = IdTable(IdTableConfig(width=WIDTH, admit_after=1, spread=CONFIG.spread, seed=CONFIG.seed))
    table.admit(ids([key]), 0.0)
    return table.look_up(ids([key]))[0]


FIRST = {key: alone(key) for key in UNIVERSE}


class Life(RuleBasedStateMachine):
    """One table, its replica, and what a dict knows about them."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="reelrank-table-"))
        self.table, self.now = IdTable(CONFIG), 0.0
        self.table.save(self.folder)
        self.replica, self.published = TableReplica.load(self.folder), 0
        self.rows: dict[int, np.ndarray] = {}
        self.touched: dict[int, float] = {}
        self.sightings: dict[int, list[float]] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    @rule(keys=st.lists(st.sampled_from([*UNIVERSE, NO_KEY]), min_size=8, max_size=30), wait=st.integers(0, 12))
    def admit(self, keys: list[int], wait: int) -> None:
        self.now += wait
        for key in keys:
            if key in self.rows:
                self.touched[key] = self.now
            elif key != NO_KEY:
                self.sightings.setdefault(key, []).append(self.now)
        for key, seen in list(self.sightings.items()):
            lately = [at for at in seen if at // EXPIRES_S >= self.now // EXPIRES_S - 1]
            if key in keys and len(lately) >= CONFIG.admit_after:
                self.rows[key], self.touched[key] = FIRST[key], self.now
                del self.sightings[key]
        rows = self.table.admit(ids(keys), self.now)
        assert [row > 0 for row in rows.tolist()] == [key in self.rows for key in keys]

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), amount=st.floats(-2, 2, width=32))
    def write(self, data: st.DataObject, amount: float) -> None:
        keys = data.draw(st.lists(st.sampled_from(sorted(self.rows)), min_size=1, max_size=5, unique=True))
        rows = self.table.rows_of(ids(keys))
        self.table.weights[rows] += np.float32(amount)
        self.table.squares[rows] += 1
        self.table.note_change(rows)
        self.rows |= {key: self.rows[key] + np.float32(amount) for key in keys}

    @rule(wait=st.sampled_from([0, 9, 21]))
    def expire(self, wait: int) -> None:
        self.now += wait
        gone = [key for key, at in self.touched.items() if at < self.now - EXPIRES_S]
        assert self.table.expire(self.now) == len(gone)
        for key in gone:
            del self.rows[key], self.touched[key]

    @rule()
    def restart(self) -> None:
        self.table.save(self.folder)
        self.table = IdTable.load(self.folder)

    @rule()
    def publish(self) -> None:
        changes = self.table.changes_since(self.published)
        for _ in range(2):  # twice is as good as once
            self.replica.apply(*changes)
        self.published = self.table.edition
        assert np.array_equal(self.replica.look_up(ids(UNIVERSE)), self.table.look_up(ids(UNIVERSE)))
        assert np.array_equal(self.replica.rows_of(ids(UNIVERSE)), self.table.rows_of(ids(UNIVERSE)))

    @invariant()
    def everybody_reads_their_own_row(self) -> None:
        if not hasattr(self, "table"):
            return
        found = self.table.look_up(ids([*UNIVERSE, NO_KEY]))
        expected = [self.rows.get(key, np.zeros(WIDTH, dtype=np.float32)) for key in [*UNIVERSE, NO_KEY]]
        assert np.array_equal(found, np.array(expected))
        live = self.table.rows_of(ids(sorted(self.rows)))
        assert len(set(live.tolist())) == len(self.rows) == len(self.table)
        free = self.table.index.keys == NO_KEY
        assert not self.table.weights[free].any() and not self.table.squares[free].any()


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=20)


@given(st.lists(st.lists(st.sampled_from(UNIVERSE), max_size=6, unique=True), max_size=15), st.integers(2, 8))
def test_a_full_table_lets_the_coldest_go_and_never_grows_further(batches: list[list[int]], max_rows: int) -> None:
    table = IdTable(IdTableConfig(width=1, admit_after=1, first_rows=2, max_rows=max_rows))
    last_seen: dict[int, int] = {}
    for now, keys in enumerate(batches):
        before = [key for key in UNIVERSE if table.rows_of(ids([key]))[0]]
        rows = table.admit(ids(keys), now)
        last_seen |= {key: now for key, row in zip(keys, rows.tolist(), strict=True) if row}
        after = [key for key in UNIVERSE if table.rows_of(ids([key]))[0]]
        assert table.index.capacity <= max_rows and len(table) == len(after) < max_rows
        gone = set(before) - set(after)
        assert not gone & set(keys)
        assert max((last_seen[key] for key in gone), default=-1) <= min((last_seen[key] for key in set(before) & set(after) - set(keys)), default=now)
        assert len([key for key in keys if key in after]) == min(len(keys), max_rows - 1)  # nobody waits while somebody colder stays


@given(st.lists(BATCHES, min_size=1, max_size=8), st.integers(0, 7), st.integers(4, 12))
def test_a_restored_table_goes_on_bit_for_bit(batches: list[list[int]], at: int, max_rows: int) -> None:
    config = IdTableConfig(width=2, admit_after=2, expire_after_s=3.0, first_rows=2, max_rows=max_rows, max_waiting=6)
    table = restored = IdTable(config)
    for now, keys in enumerate(batches):
        for one in {id(table): table, id(restored): restored}.values():
            rows = one.admit(ids(keys), now)
            one.weights[rows[rows > 0]] += 0.25
            one.note_change(rows[rows > 0])
            one.expire(now)
        if now == at:
            with tempfile.TemporaryDirectory() as folder:
                table.save(Path(folder))
                restored = IdTable.load(Path(folder))
    for name in ARRAYS:
        assert getattr(table, name).tobytes() == getattr(restored, name).tobytes()
    assert np.array_equal(table.index.keys, restored.index.keys)
    assert (len(table), table.edition, table.config) == (len(restored), restored.edition, restored.config)


def test_rows_stay_the_same_while_a_table_grows_a_thousandfold() -> None:
    table = IdTable(IdTableConfig(width=4, admit_after=1, first_rows=8))
    first = ids(range(5))
    rows, values = table.admit(first, 0.0), table.look_up(first)
    table.admit(ids(range(8_000)), 1.0)
    assert np.array_equal(table.rows_of(first), rows)
    assert np.array_equal(table.look_up(first), values)
    assert len(table) == 8_000 and table.index.capacity == 8_192


def test_the_next_owner_of_a_row_inherits_neither_numbers_nor_state() -> None:
    table = IdTable(IdTableConfig(width=WIDTH, admit_after=1, expire_after_s=5.0, spread=CONFIG.spread, seed=CONFIG.seed))
    row = table.admit(ids([1]), 0.0)
    table.weights[row], table.squares[row] = 9, 9
    assert table.expire(6.0) == 1
    assert table.admit(ids([2]), 6.0).tolist() == row.tolist()
    assert np.array_equal(table.look_up(ids([2]))[0], FIRST[2])
    assert table.squares[row].tolist() == [0]
    assert table.rows_of(ids([1])).tolist() == [0]


def test_who_lost_a_row_must_earn_it_again() -> None:
    table = IdTable(IdTableConfig(admit_after=2, first_rows=2, max_rows=2))
    assert table.admit(ids([1, 1]), 0.0).all()
    assert table.admit(ids([2, 2]), 1.0).all()
    assert not table.admit(ids([1]), 2.0).any()
    assert table.admit(ids([1]), 3.0).all()


def test_one_id_comes_as_often_as_it_occurs_in_a_batch() -> None:
    table = IdTable(IdTableConfig(admit_after=3))
    assert not table.admit(ids([5, 5, 6]), 0.0).any()
    assert table.admit(ids([[5, 6], [7, 7]]), 1.0).tolist() == [[1, 0], [0, 0]]
    assert len(table) == 1


def test_rows_of_this_very_moment_are_not_taken_from_each_other() -> None:
    table = IdTable(IdTableConfig(width=1, admit_after=1, first_rows=2, max_rows=4))
    kept = table.admit(ids([1, 2]), 5.0)
    assert np.count_nonzero(table.admit(ids([3, 4, 5]), 5.0)) == 1
    assert np.array_equal(table.rows_of(ids([1, 2])), kept)
    assert np.count_nonzero(table.admit(ids([3, 4, 5]), 6.0)) == 3


def test_a_clock_that_runs_backwards_makes_nobody_colder() -> None:
    table = IdTable(IdTableConfig(admit_after=1, expire_after_s=10.0))
    table.admit(ids([1]), 100.0)
    table.admit(ids([1, 2]), 50.0)
    assert table.expire(105.0) == 0
    assert table.expire(111.0) == 2


def test_new_rows_are_small_even_and_differ() -> None:
    table = IdTable(IdTableConfig(width=16, admit_after=1, spread=0.1))
    table.admit(ids(range(2_000)), 0.0)
    values = table.look_up(ids(range(2_000)))
    assert abs(values.mean()) < 0.002 and 0.056 < values.std() < 0.0595  # uniform: spread / sqrt(3)
    assert 0.0999 < np.abs(values).max() <= 0.1
    assert len(np.unique(values, axis=0)) == 2_000
    assert np.abs(np.corrcoef(values.T) - np.eye(16)).max() < 0.1


def test_memory_is_what_the_configuration_says() -> None:
    table = IdTable(IdTableConfig(admit_after=1, max_waiting=1_000))
    table.admit(ids(range(65_000)), 0.0)
    assert 170 < table.nbytes / 65_536 < 182


def test_another_config_takes_effect_but_not_another_width(tmp_path: Path) -> None:
    table = IdTable(IdTableConfig(width=4, admit_after=1, first_rows=4, max_rows=4))
    table.admit(ids(range(3)), 0.0)
    table.save(tmp_path)
    larger = IdTable.load(tmp_path, IdTableConfig(width=4, admit_after=1, first_rows=4, max_rows=64))
    larger.admit(ids(range(30)), 1.0)
    assert len(larger) == 30
    with pytest.raises(ValueError, match="train it again"):
        IdTable.load(tmp_path, IdTableConfig(width=5))
    with pytest.raises(ValueError, match="train it again"):
        IdTable.load(tmp_path, IdTableConfig(width=4, first_rows=2, max_rows=3))


def test_tables_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="begin with 10 rows and end with 5"):
        IdTableConfig(first_rows=10, max_rows=5)
    with pytest.raises(ValueError, match="admit_after >= 1"):
        IdTableConfig(admit_after=0)

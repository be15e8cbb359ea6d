"""What serves follows what learns: versions whole, rows as they come, and a version that was rolled back to as it was published."""

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from reelrank.features.row_index import NO_KEY
from reelrank.models.id_tables import Changes
from reelrank.models.live_tables import KeyedTable, LiveTable, LiveTables
from reelrank.models.row_updates import ROWS_FROM, RowUpdate, encode_updates
from reelrank.models.shifts import USER, user_keys
from reelrank.serving.hot_swap import HotSwap
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.event_log import MODEL_ROWS, Record
from reelrank.storage.event_log_embedded import EmbeddedEventLog
from reelrank.storage.published import Published


class Model:
    """Two tables of one number a row; row i of the videos is that of id i, no user has a row yet."""

    def __init__(self, folder: Path) -> None:
        weights = np.load(folder / "rows.npy")
        users = KeyedTable(np.full(1, NO_KEY), np.zeros((1, 1), dtype=np.float32))
        self.tables = LiveTables({"video": LiveTable(np.arange(len(weights)), weights), USER: users})

    def apply(self, update: Mapping[str, Changes]) -> None:
        self.tables.apply(update)

    def shift(self, user_id: str) -> float:
        with self.tables.held() as tables:
            return float(tables[USER].look_up(user_keys([user_id]))[0, 0])

    def read(self, *ids: int) -> list[float]:
        with self.tables.held() as tables:
            return tables["video"].weights[tables["video"].rows_of(np.array(ids)), 0].tolist()


class Desk:
    """Who publishes and learns, and who serves."""

    def __init__(self, folder: Path) -> None:
        self.log = EmbeddedEventLog(folder / "log", 2, durable=False)
        self.artifacts = ArtifactStore(folder / "artifacts")
        self.published = Published(self.artifacts, "ranker", Model)
        self.swap = HotSwap(self.published, self.log)
        self._at = 0.0

    def publish(self, value: float) -> str:
        self._at += 1
        about: dict[str, str | int | float] = {ROWS_FROM: self.log.end(MODEL_ROWS, 0)}
        rows = np.array([[0.0], *([value] for _ in range(3))], dtype=np.float32)
        return self.artifacts.publish("ranker", self._at, lambda folder: np.save(folder / "rows.npy", rows), about).manifest.version

    def learn(self, base: str, row: int, value: float, sequence: int = 1) -> None:
        changes = Changes(np.array([row]), np.array([row]), np.array([[value]], dtype=np.float32))
        self.send(RowUpdate(base, sequence, 100.0 + value, {"video": changes}))

    def send(self, update: RowUpdate) -> None:
        self.log.append(MODEL_ROWS, [Record("", record, 0) for record in encode_updates(update)])

    def read(self, *ids: int) -> list[float]:
        while self.swap.step():
            pass
        return self.published.value.read(*ids)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.log.close()


def test_before_anything_is_published_there_is_nothing_to_do(desk: Desk) -> None:
    assert desk.swap.step() == 0
    assert desk.published.value is None


def test_rows_that_were_learned_on_top_of_the_live_version_are_applied(desk: Desk) -> None:
    base = desk.publish(1.0)
    assert desk.read(1, 2) == [1.0, 1.0]
    desk.learn(base, 2, 5.0)
    desk.learn("another", 1, 9.0)
    assert desk.read(1, 2) == [1.0, 5.0]
    assert (desk.swap.updates, desk.swap.rows, desk.swap.learned_until) == (1, 1, 105.0)


def test_a_new_version_comes_whole_and_with_what_was_learned_since_it_was_made(desk: Desk) -> None:
    first = desk.publish(1.0)
    desk.learn(first, 2, 5.0)
    assert desk.read(1, 2) == [1.0, 5.0]
    second = desk.publish(2.0)
    desk.learn(second, 1, 6.0)
    assert desk.read(1, 2) == [6.0, 2.0]


def test_who_starts_later_comes_to_the_same_rows(desk: Desk) -> None:
    base = desk.publish(1.0)
    for number in range(500):
        desk.learn(base, 1 + number % 3, float(number))
    late = HotSwap(Published(desk.artifacts, "ranker", Model), desk.log)
    while late.step():
        pass
    assert late._published.value.read(1, 2, 3) == desk.read(1, 2, 3) == [498.0, 499.0, 497.0]


def test_users_get_rows_while_it_serves_and_lose_them_with_the_version(desk: Desk) -> None:
    base = desk.publish(1.0)
    changes = Changes(np.array([3, 1]), user_keys(["u7", "u9"]), np.array([[0.5], [-0.5]], dtype=np.float32))
    desk.send(RowUpdate(base, 1, 100.0, {USER: changes}))
    desk.read(1)
    model = desk.published.value
    assert [model.shift(user_id) for user_id in ("u7", "u8", "u9")] == [0.5, 0.0, -0.5]
    desk.publish(1.0)
    desk.read(1)
    assert desk.published.value.shift("u7") == 0.0


def test_a_version_that_is_rolled_back_to_is_as_it_was_published(desk: Desk) -> None:
    first = desk.publish(1.0)
    desk.send(RowUpdate(first, 0, 0.0, {}))
    desk.learn(first, 1, 66.0)
    assert desk.read(1, 2) == [66.0, 1.0]
    desk.publish(2.0)
    assert desk.read(1, 2) == [2.0, 2.0]
    desk.artifacts.roll_back("ranker", first)
    desk.send(RowUpdate(first, 0, 0.0, {}))  # the learner begins anew
    assert desk.read(1, 2) == [1.0, 1.0]
    desk.learn(first, 2, 7.0)
    assert desk.read(1, 2) == [1.0, 7.0]


def test_rows_that_are_not_kept_any_more_are_passed_over(desk: Desk) -> None:
    base = desk.publish(1.0)
    for number in range(9):
        desk.learn(base, 1, float(number))
    desk.learn(base, 2, 3.0)
    desk.log.forget(MODEL_ROWS, 0, 9)
    assert desk.read(1, 2) == [1.0, 3.0]


def test_what_can_not_be_applied_is_left_out_and_counted(desk: Desk) -> None:
    base = desk.publish(1.0)
    desk.log.append(MODEL_ROWS, [Record("", b"nonsense", 0)])
    desk.send(RowUpdate(base, 1, 0.0, {"unheard": Changes(np.array([1]), np.array([1]), np.ones((1, 1), dtype=np.float32))}))
    desk.learn(base, 1, 4.0)
    assert desk.read(1) == [4.0]
    assert desk.swap.refused == 2


def test_rows_are_there_a_moment_after_they_were_learned(desk: Desk) -> None:
    base, stopping = desk.publish(1.0), threading.Event()
    thread = threading.Thread(target=desk.swap.follow, args=(stopping.is_set,))
    thread.start()
    try:
        for number in range(5):
            desk.learn(base, 1, 10.0 + number)
            deadline = time.monotonic() + 5
            while desk.published.value is None or desk.published.value.read(1) != [10.0 + number]:
                assert time.monotonic() < deadline
                time.sleep(0.001)
    finally:
        stopping.set()
        thread.join()

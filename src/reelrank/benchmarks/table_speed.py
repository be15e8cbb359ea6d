"""What learning the rows of a batch costs, side by side with torch's sparse embedding, and as a table grows."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reelrank.benchmarks.percentiles import spread
from reelrank.domain.arrays import Rows
from reelrank.features.row_index import Keys
from reelrank.models.id_tables import IdTable, IdTableConfig
from reelrank.models.row_optimizer import RowAdagrad
from reelrank.models.table_replica import TableReplica

BATCH, TOKENS, WIDTH = 1_024, 64, 32  # examples, ids in the history of each, numbers in a row
NEW = 0.01  # of the tokens: ids that nobody has seen yet
_SMALLEST = 10_000  # rows of the first of the growing tables
_AT_ONCE = 65_536  # ids admitted together while a table is filled
_WARM_UP = 3  # steps that don't count

Step = tuple[float, float]  # seconds of looking up, seconds of learning


def measure(
    rows: int = 1_000_000, steps: int = 100, largest: int = 10_000_000, examples: int = BATCH, seed: int = 0,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Batches of `examples` × 64 ids by Zipf's law, one thread, the same batch to each in turn.

    Torch is spared what ids cost: it is given dense rows, where the table gets 64-bit ids of which 1 % are new,
    finds their rows, counts the newcomers and notes who was there.
    """
    with _one_thread():
        told = _side_by_side(rows, steps, examples, seed, on_progress)
        growth = {f"{size:,}": _grown(size, steps, examples, seed, on_progress) for size in sizes(largest)}
    return {**told, "growth": growth, "rows": rows, "tokens": examples * TOKENS, "width": WIDTH, "steps": steps, "seed": seed}


def sizes(largest: int) -> list[int]:
    """The powers of ten up to the largest table."""
    return [size for size in (_SMALLEST * 10**power for power in range(6)) if size <= largest]


def steps_in_all(steps: int, largest: int) -> int:
    """How far `on_progress` counts."""
    return steps * (1 + len(sizes(largest)))


class _Traffic:
    """Ids by Zipf's law: the n-th most popular comes 1/n as often as the first."""

    def __init__(self, rows: int, examples: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.keys: Keys = np.unique(self._rng.integers(1, 2**62, rows))
        self._rng.shuffle(self.keys)
        self._cumulated = np.cumsum(1 / np.arange(1, len(self.keys) + 1))
        self._tokens = examples * TOKENS

    def batch(self) -> tuple[Keys, Rows]:
        """Ids, and the same as dense rows; whoever is new is negative there and row 0 here."""
        places = np.searchsorted(self._cumulated, self._rng.random(self._tokens) * self._cumulated[-1], side="right")
        keys, dense = self.keys[places], places + 1
        new = self._rng.random(self._tokens) < NEW
        keys[new] = -self._rng.integers(1, 2**62, np.count_nonzero(new))
        dense[new] = 0
        return keys, dense

    def gradients(self) -> Tensor:
        return torch.from_numpy(self._rng.standard_normal((self._tokens, WIDTH), dtype=np.float32))


class _Ours:
    """A table that holds every id of the traffic."""

    def __init__(self, traffic: _Traffic) -> None:
        room = len(traffic.keys) + 1
        self.table = IdTable(IdTableConfig(width=WIDTH, admit_after=1, first_rows=room, max_rows=room))
        for start in range(0, len(traffic.keys), _AT_ONCE):
            self.table.admit(traffic.keys[start : start + _AT_ONCE], 0.0)
        self.table.config = IdTableConfig(width=WIDTH, admit_after=2, first_rows=room, max_rows=room)
        self.optimizer = RowAdagrad(self.table)
        self.steps = 0

    def step(self, keys: Keys, gradients: Tensor) -> Step:
        self.steps += 1
        begin = time.perf_counter()
        leaf = self.optimizer.gather(self.table.admit(keys, float(self.steps)))
        looked_up = time.perf_counter()
        leaf.grad = gradients  # what the backward pass of a model leaves here; with one, autograd hands it over without a copy
        self.optimizer.step()
        return looked_up - begin, time.perf_counter() - looked_up


class _Torch:
    """What torch offers for the same."""

    def __init__(self, rows: int, optimizer: type[torch.optim.SparseAdam] | type[torch.optim.Adagrad]) -> None:
        self.embedding = torch.nn.Embedding(rows + 1, WIDTH, sparse=True)
        self.optimizer = optimizer(self.embedding.parameters(), lr=0.05)

    def step(self, dense: Rows, gradients: Tensor) -> Step:
        begin = time.perf_counter()
        embedded = self.embedding(torch.from_numpy(dense))
        looked_up = time.perf_counter()
        embedded.backward(gradients)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return looked_up - begin, time.perf_counter() - looked_up


def _side_by_side(rows: int, steps: int, examples: int, seed: int, on_progress: Callable[[int], None]) -> dict[str, Any]:
    traffic = _Traffic(rows, examples, seed)
    ours, adam, adagrad = _Ours(traffic), _Torch(len(traffic.keys), torch.optim.SparseAdam), _Torch(len(traffic.keys), torch.optim.Adagrad)
    took: dict[str, list[Step]] = {"table": [], "sparse_adam": [], "sparse_adagrad": []}
    for number in range(_WARM_UP + steps):
        (keys, dense), gradients = traffic.batch(), traffic.gradients()
        sides: list[tuple[str, Callable[[], Step]]] = [
            ("table", lambda: ours.step(keys, gradients)),  # noqa: B023  # called before the next turn
            ("sparse_adam", lambda: adam.step(dense, gradients)),  # noqa: B023
            ("sparse_adagrad", lambda: adagrad.step(dense, gradients)),  # noqa: B023
        ]
        turn = number % len(sides)  # nobody always comes first
        for name, step in sides[turn:] + sides[:turn]:
            took[name].append(step())
        on_progress(number >= _WARM_UP)
    ms = {name: np.array(pairs[_WARM_UP:]) * 1e3 for name, pairs in took.items()}  # (steps, 2)
    whole = {name: pairs.sum(axis=1) for name, pairs in ms.items()}
    return {
        "table_speedup": _ratio(whole["sparse_adam"], whole["table"], 50),
        "table_speedup_p99": _ratio(whole["sparse_adam"], whole["table"], 99),
        "table_speedup_over_adagrad": _ratio(whole["sparse_adagrad"], whole["table"], 50),
        **{f"{name}_ms": {"look_up": spread(pairs[:, 0]), "update": spread(pairs[:, 1]), "step": spread(whole[name])} for name, pairs in ms.items()},
        "bytes_per_row": round(ours.table.nbytes / len(ours.table)),
        "publish": _published(ours, traffic),
    }


def _ratio(theirs: NDArray[np.float64], ours: NDArray[np.float64], percentile: int) -> float:
    return round(float(np.percentile(theirs, percentile) / np.percentile(ours, percentile)), 2)


def _published(ours: _Ours, traffic: _Traffic) -> dict[str, float | int]:
    """What it takes to bring a step's rows to a process that reads: at first, when the mapped pages they lie on are copied, and then."""
    with tempfile.TemporaryDirectory(prefix="reelrank-table-", ignore_cleanup_errors=True) as folder:
        begin = time.perf_counter()
        ours.table.save(Path(folder))
        saved = time.perf_counter()
        replica = TableReplica.load(Path(folder))
        told: dict[str, float | int] = {"save_ms": _ms(begin, saved), "map_ms": _ms(saved, time.perf_counter())}
        keys, _ = traffic.batch()
        for apply in ("first_apply_ms", "apply_ms"):
            mark = ours.table.edition
            ours.step(keys, traffic.gradients())
            begin = time.perf_counter()
            changes = ours.table.changes_since(mark)
            collected = time.perf_counter()
            replica.apply(*changes)
            told |= {"rows": len(changes.rows), "collect_ms": _ms(begin, collected), apply: _ms(collected, time.perf_counter())}
    return {**told, "mib": round(sum(part.nbytes for part in changes) / 2**20, 1)}


def _ms(begin: float, end: float) -> float:
    return round((end - begin) * 1e3, 2)


def _grown(rows: int, steps: int, examples: int, seed: int, on_progress: Callable[[int], None]) -> dict[str, Any]:
    """What a step takes in a table of so many rows, and what the table takes."""
    traffic = _Traffic(rows, examples, seed)
    begin = time.perf_counter()
    ours = _Ours(traffic)
    filling_s = time.perf_counter() - begin
    took: list[Step] = []
    for number in range(_WARM_UP + steps):
        took.append(ours.step(traffic.batch()[0], traffic.gradients()))
        on_progress(number >= _WARM_UP)
    ms = np.array(took[_WARM_UP:]) * 1e3
    return {
        "look_up_ms": spread(ms[:, 0]),
        "update_ms": spread(ms[:, 1]),
        "filled_rows_per_s": round(rows / filling_s),
        "bytes_per_row": round(ours.table.nbytes / len(ours.table)),
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    """NumPy has one thread, so torch gets one; and its check of sparse tensors is declined by name, or it warns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.sparse.check_sparse_tensor_invariants(False):
            yield
    finally:
        torch.set_num_threads(threads)

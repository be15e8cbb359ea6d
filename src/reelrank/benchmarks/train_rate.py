"""How many examples a second the ranker learns from, side by side with peers, and what its tables take as they grow."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from reelrank.benchmarks import table_speed
from reelrank.benchmarks.made_examples import made_examples
from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.rechub_steps import SIDES, PeerFailed, rechub_steps
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.training.descent import Descent
from reelrank.training.examples import TrainingSet
from reelrank.training.ranker_batches import TOGETHER, Row
from reelrank.training.ranker_data import RankerData
from reelrank.training.train_ranker import begin, examples_loss

VIDEOS = 7_500
_BATCHES = 20  # that are made; more steps go through them again
_WARM_UP = 2  # steps that don't count
_PUBLISHED = RankerSettings()

Step = Callable[[int], float]  # the number of a batch -> processor seconds


def measure(
    peers: Path | None, steps: int = 10, table_steps: int = 100, table_rows: int = 1_000_000, largest: int = 10_000_000, seed: int = 0,
    settings: RankerSettings = _PUBLISHED, on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Steps of `settings`, forward, backward and optimizer, one thread, each batch to every side in turn; then the tables.

    `peers` is the interpreter that has torch-rechub; without it, or if it fails, its figures are None. What a batch is made of costs
    Reelrank's two sides time, not the peers. A second is one of the processor: who else uses the machine does not matter.
    """
    data = made_examples(settings.batch_rows * min(steps, _BATCHES), TOGETHER, VIDEOS, seed)
    told = side_by_side(peers, data, settings, steps, seed, on_progress)
    tables = table_speed.measure(rows=table_rows, steps=table_steps, largest=largest, seed=seed, on_progress=on_progress)
    by_rows = {rows: {part: grown[f"{part}_ms"]["p50"] for part in ("look_up", "update")} for rows, grown in tables["growth"].items()}
    about = {
        "batch_examples": settings.batch_rows * TOGETHER,
        "tokens_per_user": round(len(data.tokens.video) / len(data.user_ids)),
        "videos": VIDEOS,
        "steps": steps,
        "table_steps": table_steps,
        "seed": seed,
        "ranker": msgspec.to_builtins(settings),
    }
    return {**told, "table_speedup": tables["table_speedup"], "table_ms_by_rows": by_rows, **about}


def steps_in_all(steps: int, table_steps: int, largest: int) -> int:
    """How far `on_progress` counts."""
    return steps + table_speed.steps_in_all(table_steps, largest)


def side_by_side(
    peers: Path | None, data: TrainingSet, settings: RankerSettings, steps: int, seed: int = 0, on_progress: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Examples a second of Reelrank, of the same network that encodes the history anew for each example, and of the peers."""
    with _one_thread(seed):
        shared, alone = _Ours(data, settings), _Ours(data, settings)
        plan = shared.data.batches.plan(shared.data.batches.rows, np.random.default_rng(seed))
        apart = [alone.each_by_itself(batch) for batch in plan]
        sides: dict[str, Step] = {"ours": lambda batch: shared.step(plan[batch]), "reencoded": lambda batch: alone.step(apart[batch])}
        took = missing = None
        if peers is not None:
            try:
                with rechub_steps(peers, data, [np.concatenate([row.examples for row in batch]) for batch in plan], settings) as rechub:
                    theirs: dict[str, Step] = {"hstu": lambda batch: rechub.step("hstu", batch), "din": lambda batch: rechub.step("din", batch)}
                    took = _in_turn({**sides, **theirs}, len(plan), steps, on_progress)
            except PeerFailed as failed:
                missing = f"HSTU and DIN failed in {peers}: {failed}; to install them anew: rm -r {peers.parent.parent} && scripts/peers"
        if took is None:
            took = _in_turn(sides, len(plan), steps, on_progress)
    examples = sum(len(row.examples) for batch in plan for row in batch) / len(plan)
    rates = {side: round(examples / float(np.median(seconds))) for side, seconds in took.items()}
    return {
        "examples_per_s": rates["ours"],
        "peers": {"hstu": rates.get("hstu"), "reencoded": rates["reencoded"]},
        "din_examples_per_s": rates.get("din"),
        "times": {side: round(float(np.median(took[side] / took["ours"])), 2) for side in ("reencoded", *SIDES) if side in took},
        "step_ms": {side: spread(seconds * 1e3) for side, seconds in took.items()},
        "peers_missing": missing,
    }


class _Ours:
    """The ranker and what moves it, as `train_ranker` has them."""

    def __init__(self, data: TrainingSet, settings: RankerSettings) -> None:
        trained = begin(data, settings)
        trained.network.train()
        self.data, self._ends, self._rate = RankerData(data, trained), data.history_ends, settings.learning_rate
        self._descent, self._steps = Descent(trained), 0

    def step(self, rows: list[Row]) -> float:
        began = time.process_time()
        self._descent.step(examples_loss(self.data, rows), self._rate, self._steps)
        self._steps += 1
        return time.process_time() - began

    def each_by_itself(self, rows: list[Row]) -> list[Row]:
        """The same examples, none of which shares its history with another."""
        return [Row(row.user, np.array([example]), int(self._ends[example])) for row in rows for example in row.examples]


def _in_turn(sides: dict[str, Step], batches: int, steps: int, on_progress: Callable[[int], None]) -> dict[str, NDArray[np.float64]]:
    """Processor seconds of each side's steps, the same batch to all of them before the next."""
    took: dict[str, list[float]] = {side: [] for side in sides}
    names = list(sides)
    for number in range(_WARM_UP + steps):
        turn = number % len(names)  # nobody always comes first
        for side in names[turn:] + names[:turn]:
            took[side].append(sides[side](number % batches))
        on_progress(number >= _WARM_UP)
    return {side: np.array(seconds[_WARM_UP:]) for side, seconds in took.items()}


@contextmanager
def _one_thread(seed: int) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

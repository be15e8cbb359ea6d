"""Examples a second, in small: every side learns from the same examples, and peers that are not there are told."""

from pathlib import Path

import numpy as np

from reelrank.benchmarks.made_examples import made_examples
from reelrank.benchmarks.train_rate import measure, side_by_side, steps_in_all
from reelrank.models.ranker_inputs import RankerSettings

SMALL = RankerSettings(batch_rows=4, width=8, attention_heads=2, hidden=8)


def test_the_ranker_and_its_tables_are_measured_without_the_peers() -> None:
    done: list[int] = []
    told = measure(None, steps=2, table_steps=2, table_rows=20_000, largest=10_000, settings=SMALL, on_progress=done.append)
    assert sum(done) == steps_in_all(2, 2, 10_000)
    assert told["examples_per_s"] > told["peers"]["reencoded"] > 0
    assert told["peers"]["hstu"] is None
    assert told["din_examples_per_s"] is None
    assert told["batch_examples"] == 4 * 16
    assert set(told["table_ms_by_rows"]["10,000"]) == {"look_up", "update"}


def test_peers_that_fail_are_told_with_what_they_said_and_the_rest_is_measured(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ModuleNotFoundError: torch_rechub' >&2\nexit 1\n")
    python.chmod(0o755)
    told = side_by_side(python, made_examples(4, 16, 100), SMALL, steps=1)
    assert "torch_rechub" in told["peers_missing"]
    assert told["peers"]["hstu"] is None
    assert told["examples_per_s"] > 0


def test_hstu_and_din_learn_from_the_same_batches(peers: Path) -> None:
    told = side_by_side(peers, made_examples(4, 16, 100), SMALL, steps=1)
    assert told["peers_missing"] is None
    assert told["peers"]["hstu"] > 0
    assert told["din_examples_per_s"] > 0


def test_made_examples_come_after_their_history_and_become_part_of_it() -> None:
    data = made_examples(users=30, each=16, videos=500)
    known = data.history_ends - data.tokens.start[data.examples.user]
    first, last = (known[[np.flatnonzero(data.examples.user == user)[place] for user in range(30)]] for place in (0, -1))
    assert (first >= 64).all()
    assert (first <= 192).all()
    assert (last - first == 15).all()
    assert (np.diff(data.examples.served_at) >= 0).all()

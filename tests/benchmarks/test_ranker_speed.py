"""The bench of the ranker: its count of FLOPs is what runs, and its figures are there."""

import msgspec
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.test_served_ranker import asked_of, served
from reelrank.benchmarks import ranker_speed
from reelrank.features.definitions import SHARED
from training.ranker_worlds import SMALL


@pytest.mark.parametrize("layers", [1, 2])
def test_the_flops_are_those_of_the_products_that_run(layers: int) -> None:
    settings = msgspec.structs.replace(SMALL, layers=layers)
    ranker, scoring = served(settings)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        scoring(*asked_of(ranker, rows=1, candidates=7, tokens=5))
    k = len(ranker.watch_time.thresholds_s)
    assert counter.get_total_flops() == ranker_speed.flops(msgspec.structs.replace(settings, thresholds=k), len(ranker.heads), 7, 5, len(SHARED))


def test_what_a_shape_asks_for_is_more_than_what_is_done() -> None:
    settings = ranker_speed.SHAPES["fixed"]
    assert 1.1 < ranker_speed.flops(settings, 9, 500, 256) / ranker_speed.flops(settings, 9, 500, 256, len(SHARED)) < 1.6


def test_the_figures_of_both_shapes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranker_speed, "SHAPES", {"published": SMALL, "fixed": msgspec.structs.replace(SMALL, layers=2)})
    seen: list[int] = []
    numbers = ranker_speed.measure(candidates=5, rounds=1, on_progress=seen.append)
    assert sum(seen) == ranker_speed.rounds_in_all(1)
    fixed = numbers["shapes"]["fixed"]
    assert numbers["ms"] == fixed["ms"]["p50"] > 0
    assert all(numbers[key] == fixed[key] > 0 for key in ("gflops", "share_of_sgemm", "speedup_over_reencoding"))
    assert numbers["shapes"]["published"]["tokens"] == SMALL.window + SMALL.strong

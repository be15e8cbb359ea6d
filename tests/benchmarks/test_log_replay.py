"""The real log, or the beginning of it, through the whole loop."""

from pathlib import Path

from reelrank.benchmarks.log_replay import measure_quality, measure_speed
from reelrank.simulation.kuairand import KuaiRand
from simulation.small_log import shown, write


def test_every_event_of_a_log_is_posted_and_folded(tmp_path: Path) -> None:
    data = write(tmp_path, [shown(5, place % 3, at_s=place, played_s=2, is_click=1) for place in range(30)])
    numbers = measure_speed(data, data.exposures())
    assert numbers["events"] == data.exposures().events == 90
    assert numbers["events_per_s"] > 0


def test_a_beginning_of_the_real_log_is_predicted_better_than_by_chance(real_data: Path) -> None:
    data = KuaiRand(real_data / "kuairand-pure")
    numbers = measure_quality(data, data.exposures(limit=1_500), feeds=5, together_s=60.0, histories=2_000)
    assert min(numbers["auc"]["click"], numbers["auc"]["long_view"]) > 0.55
    assert 0 <= numbers["recall_at_50"] <= 1
    assert numbers["feeds"] == 5

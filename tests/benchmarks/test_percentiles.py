"""The middle, the tail and the worst."""

from reelrank.benchmarks.percentiles import spread


def test_a_spread_names_the_middle_the_tail_and_the_worst() -> None:
    assert spread([float(ms) for ms in range(1, 102)]) == {"p50": 51.0, "p95": 96.0, "p99": 100.0, "max": 101.0}


def test_a_spread_of_nothing_has_no_numbers() -> None:
    assert set(spread([]).values()) == {None}

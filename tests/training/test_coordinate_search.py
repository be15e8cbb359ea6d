"""Tests of the coordinate search."""

import pytest

from reelrank.training.coordinate_search import climb

LADDERS = {"x": (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0), "y": (0.0, 0.5, 1.0)}


def test_it_finds_the_top_of_a_hill() -> None:
    found = climb(LADDERS, {"x": 0.0, "y": 0.0}, lambda at: -((at["x"] - 3) ** 2) - (at["y"] - 0.5) ** 2)
    assert found.settings == {"x": 3.0, "y": 0.5}
    assert found.value == 0


def test_what_makes_no_difference_stays_where_it_began() -> None:
    assert climb(LADDERS, {"x": 0.0, "y": 0.5}, lambda at: at["x"]).settings == {"x": 3.0, "y": 0.5}


def test_nothing_is_measured_twice() -> None:
    asked: list[tuple[float, ...]] = []
    heard: list[int] = []

    def value(at: dict[str, float]) -> float:
        asked.append((at["x"], at["y"]))
        return -abs(at["x"] - 1)

    found = climb(LADDERS, {"x": 0.0, "y": 0.0}, value, on_progress=heard.append)
    assert len(asked) == len(set(asked)) == found.tried == sum(heard)


def test_a_start_beside_its_ladder_is_refused() -> None:
    with pytest.raises(ValueError, match=r"y starts at 0\.7"):
        climb(LADDERS, {"x": 0.0, "y": 0.7}, lambda at: 0.0)

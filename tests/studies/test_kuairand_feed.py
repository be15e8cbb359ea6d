"""The feed study from end to end, on two circles of people: the whole running system answers."""

from pathlib import Path

import pytest

from reelrank.simulation.kuairand import DataError
from reelrank.studies.kuairand_feed import COUNT, evaluate
from studies.made_log import DAYS


def test_the_running_system_is_asked_once_for_everybody_who_found_something_new(log_folder: Path):
    told: list[int] = []
    found = evaluate(log_folder, DAYS[-1], DAYS[-1], told.append, peers=False)
    assert found["dataset"] == "kuairand"
    assert found["users"] > 10
    assert found["pairs"] >= found["users"]
    assert sum(told) == 3 * 40 * 4 + found["users"]  # exposures before that day, then slates
    assert found[f"recall_at_{COUNT}"] <= 1 - found["pairs_in_base_history"] / found["pairs"] + 0.1
    assert found[f"recall_at_{COUNT}"] > 0.4  # of what is new to somebody nearly everything fits into a slate
    assert found["distinct_videos"] <= 24
    assert 0 <= found["pairs_in_base_history"] < found["pairs"]


def test_the_same_log_gives_the_same_numbers(log_folder: Path):
    first, again = (evaluate(log_folder, DAYS[-1], DAYS[-1], peers=False) for _ in range(2))
    for name in (f"recall_at_{COUNT}", f"ndcg_at_{COUNT}", f"hit_at_{COUNT}", "distinct_videos"):
        assert first[name] == again[name]


def test_days_that_leave_the_peers_nothing_to_choose_by_are_refused_before_anything_is_replayed(log_folder: Path):
    told: list[int] = []
    with pytest.raises(DataError, match=f"no exposures before {DAYS[0]} to know: the log has the days from {DAYS[0]} to {DAYS[-1]}"):
        evaluate(log_folder, DAYS[1], DAYS[1], told.append)
    assert told == []

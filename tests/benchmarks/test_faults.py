"""What breaks costs nothing that was acknowledged."""

from typing import Any

import pytest

from reelrank.benchmarks.faults import SCENARIOS, measure

NOTHING_WRONG = ("lost", "state_mismatches", "examples_missing", "examples_double", "lake_missing", "lake_double", "refusals_without_retry_after")


def assert_nothing_is_wrong(scenario: dict[str, Any]) -> None:
    assert scenario["acknowledged"] > 0 and scenario["examples_compared"] > 0
    assert {name: scenario[name] for name in NOTHING_WRONG} == dict.fromkeys(NOTHING_WRONG, 0)


@pytest.mark.parametrize("name", ["serve", "stream"])
def test_a_kill_of_either_process_loses_nothing_and_the_state_is_what_the_log_says(name: str):
    scenario = measure(rounds=1, videos=40, users=20, only=(name,))["scenarios"][name]
    assert_nothing_is_wrong(scenario)
    assert scenario["restarts"][name] == 1


def test_a_full_disk_loses_nothing_and_feeds_say_that_the_log_is_away(small_disk: object):
    scenario = measure(rounds=1, videos=200, users=60, only=("disk",))["scenarios"]["disk"]
    assert_nothing_is_wrong(scenario)
    assert scenario["refusals"]["503"] > 0
    assert scenario["feeds_while_away"] > 0 and scenario["feeds_failed"] == 0
    assert "the event log is away" in scenario["degraded"]  # not in every feed: what is small may still find a free page


@pytest.mark.parametrize("name", ["stream", "redis", "kafka"])
def test_servers_and_processes_on_them_may_go_and_come_back(name: str, servers: None):
    scenario = measure("servers", rounds=1, videos=200, users=60, only=(name,))["scenarios"][name]
    assert_nothing_is_wrong(scenario)
    if name in {"redis", "kafka"}:
        assert scenario["feeds_while_away"] > 0
        assert scenario["feeds_failed"] == scenario["feeds_silent"] == 0


def test_every_scenario_of_the_servers_has_a_name():
    assert list(SCENARIOS["servers"]) == ["collector", "stream", "redis", "kafka", "postgresql", "disk"]

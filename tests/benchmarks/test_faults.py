"""A killed process costs nothing that was acknowledged."""

from reelrank.benchmarks.faults import measure


def test_a_kill_of_either_process_loses_nothing_and_the_state_is_what_the_log_says() -> None:
    scenarios = measure(rounds=1, videos=40, users=20)["scenarios"]
    assert set(scenarios) == {"serve", "stream"}
    for scenario in scenarios.values():
        assert scenario["acknowledged"] > 0
        assert scenario["restarts"] == 1
        assert scenario["lost"] == scenario["state_mismatches"] == 0

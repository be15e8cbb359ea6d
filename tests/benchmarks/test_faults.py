"""The comparison of two folds sees every difference, and a killed process costs nothing that was acknowledged."""

from collections.abc import Callable

import numpy as np

from reelrank.benchmarks.faults import differences, measure
from reelrank.features.windows import WIDTH
from reelrank.storage.online_store import Kind, OnlineStore
from reelrank.wiring import Reelrank


def fill(store: OnlineStore, user: bytes = b"record", count: int = 1) -> None:
    with store.fold(0) as fold:
        fold.put_users({"ana": user})
        fold.put_counters(Kind.TAG, np.array([7]), np.full((1, WIDTH), count, dtype=np.int32))
        fold.commit(3)


def test_equal_stores_do_not_differ(open_system: Callable[..., Reelrank]) -> None:
    one, other = open_system(name="one").store, open_system(name="other").store
    fill(one)
    fill(other)
    different, compared = differences(one, other)
    assert (different, compared) == (0, 2 + 4)  # a user, a counter and the offset of each partition


def test_every_bit_of_a_user_a_counter_and_an_offset_counts(open_system: Callable[..., Reelrank]) -> None:
    one, other = open_system(name="one").store, open_system(name="other").store
    fill(one)
    assert differences(one, other)[0] == 3
    fill(other, user=b"recorD", count=2)
    assert differences(one, other)[0] == 2


def test_a_kill_of_either_process_loses_nothing_and_the_state_is_what_the_log_says() -> None:
    scenarios = measure(rounds=1, videos=40, users=20)["scenarios"]
    assert set(scenarios) == {"serve", "stream"}
    for scenario in scenarios.values():
        assert scenario["acknowledged"] > 0
        assert scenario["restarts"] == 1
        assert scenario["lost"] == scenario["state_mismatches"] == 0

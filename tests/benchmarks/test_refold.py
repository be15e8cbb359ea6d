"""The comparison of two folds sees every difference."""

from collections.abc import Callable

import numpy as np

from reelrank.benchmarks.refold import differences, everything_in
from reelrank.storage.counter_store import Kind, Position
from reelrank.storage.event_log import partition_of
from reelrank.wiring import Reelrank


def fill(system: Reelrank, user: bytes = b"record", count: bytes = b"one") -> None:
    nothing = (0, 0, 0, 0)
    system.store.commit(partition_of("ana", 4), 0, 3, {"ana": user}, bytes(24))
    system.counters.commit(Position(nothing, nothing), Position((3, 0, 0, 0), nothing), {Kind.TAG: (np.array([7]), [count])})


def compared(one: Reelrank, other: Reelrank) -> tuple[int, int]:
    return differences(everything_in(one.store, one.counters), everything_in(other.store, other.counters))[:2]


def test_equal_stores_do_not_differ(open_system: Callable[..., Reelrank]) -> None:
    one, other = open_system(name="one"), open_system(name="other")
    fill(one)
    fill(other)
    assert compared(one, other) == (0, 2 + 8)  # a user, a counter and two offsets for each partition


def test_every_bit_of_a_user_a_counter_and_an_offset_counts(open_system: Callable[..., Reelrank]) -> None:
    one, other = open_system(name="one"), open_system(name="other")
    fill(one)
    assert compared(one, other)[0] == 4
    fill(other, user=b"recorD", count=b"two")
    assert compared(one, other)[0] == 2
    assert differences(everything_in(one.store, one.counters), everything_in(other.store, other.counters)).names == ["TAG 7", "user ana"]

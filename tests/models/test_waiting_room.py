"""WaitingRoom against two dicts: exact counts, forgotten in time, in bounded memory."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reelrank.models.waiting_room import WaitingRoom

BATCHES = st.lists(st.tuples(st.dictionaries(st.integers(-3, 12), st.integers(1, 4), max_size=10), st.integers(0, 30)), max_size=12)


def count(room: WaitingRoom, seen: dict[int, int], now: float) -> list[int]:
    return room.count(np.array(list(seen), dtype=np.int64), np.array(list(seen.values()), dtype=np.int64), now).tolist()


@given(BATCHES)
def test_sightings_count_for_one_to_two_periods(batches: list[tuple[dict[int, int], int]]) -> None:
    room, sightings, now = WaitingRoom(10_000, 20.0), [], 0
    for seen, wait in batches:
        now += wait
        sightings += [(now // 20, key, times) for key, times in seen.items()]
        expected = [sum(times for period, key, times in sightings if key == asked and period >= now // 20 - 1) for asked in seen]
        assert count(room, seen, now) == expected


@given(BATCHES, st.integers(2, 8))
def test_a_small_room_forgets_but_never_invents(batches: list[tuple[dict[int, int], int]], most: int) -> None:
    room, total = WaitingRoom(most, 1e9), dict.fromkeys(range(-3, 13), 0)
    for seen, _ in batches:
        for key, times in seen.items():
            total[key] += times
        counted = dict(zip(seen, count(room, seen, 0.0), strict=True))
        assert all(seen[key] <= counted[key] <= total[key] for key in seen)
        assert room._young.used + room._old.used <= most


@given(BATCHES, st.integers(2, 40))
def test_a_restored_room_goes_on_as_the_saved_one_does(batches: list[tuple[dict[int, int], int]], most: int) -> None:
    room, now = WaitingRoom(most, 20.0), 0
    for seen, wait in batches:
        now += wait
        restored = WaitingRoom.restored(most, 20.0, room.arrays())
        assert count(restored, seen, now) == count(room, seen, now)


def test_who_has_been_admitted_begins_anew() -> None:
    room = WaitingRoom(100, 10.0)
    count(room, {1: 3, 2: 3}, 5.0)
    count(room, {1: 1}, 12.0)
    room.forget(np.array([1], dtype=np.int64))
    assert count(room, {1: 1, 2: 1}, 13.0) == [1, 4]


def test_a_flood_of_ids_that_come_once_takes_no_memory() -> None:
    room = WaitingRoom(4_096, 1e9)
    for start in range(0, 200_000, 10_000):
        room.count(np.arange(start, start + 10_000), np.ones(10_000, dtype=np.int64), 0.0)
    assert room.nbytes < 64 * 4_096

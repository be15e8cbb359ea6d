"""How videos play: over a slow network smaller and with stalls."""

import numpy as np

from reelrank.simulation.playback import Connection, connection_of, played
from reelrank.simulation.visit import local_time


def test_a_person_has_the_same_connection_every_time() -> None:
    connections = [connection_of(f"user {number}") for number in range(300)]
    assert connection_of("user 7") == connections[7]
    assert {"wifi", "5g", "4g", "3g"} <= {connection.network for connection in connections}


def test_a_slow_network_plays_small_pictures_and_stalls_more() -> None:
    rng = np.random.default_rng(0)
    slow, fast = ([played(Connection("", kbps), 10.0, rng) for _ in range(500)] for kbps in (900, 30_000))
    assert {one.rendition for one in slow} == {360}
    assert {one.rendition for one in fast} == {1_080}
    assert sum(one.stalled_s for one in fast) < sum(one.stalled_s for one in slow)
    assert all(0 <= one.stalled_s <= 8 for one in slow)


def test_a_file_is_played_at_its_own_height() -> None:
    assert played(Connection("wifi", 30_000), 10.0, np.random.default_rng(0), 1_280).rendition == 1_280


def test_the_local_time_of_a_moment() -> None:
    assert local_time(0.0, 0) == (0, 3)
    assert local_time(0.0, -1) == (23, 2)
    assert local_time(4 * 86_400 - 1_800, 5.5) == (5, 0)

"""Tests of velocity on counters that are filled at a known pace."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.counted import added
from reelrank.features import windows
from reelrank.features.velocity import velocity
from reelrank.features.windows import Counter

NOW = 1_750_000_123.0
DAY = 86_400.0


def paced(*stretches: tuple[float, float, int], kind: Counter = Counter.CLICKS) -> np.ndarray:
    """One record: from so many seconds ago to so many seconds ago, so many outcomes a minute."""
    moments = [NOW - ago_s for begin_s, end_s, _ in stretches for ago_s in np.arange(begin_s, end_s, -60.0)]
    amounts = [amount for begin_s, end_s, amount in stretches for _ in np.arange(begin_s, end_s, -60.0)]
    state = np.zeros((1, windows.WIDTH), dtype=np.int32)
    return added(state, [(0, moment, kind, amount) for moment, amount in zip(moments, amounts, strict=True)])


def speed(state: np.ndarray, now: float = NOW) -> float:
    return float(velocity(state, np.full(len(state), now))[0])


def test_what_keeps_its_pace_has_velocity_one() -> None:
    assert speed(paced((DAY, 0, 20))) == pytest.approx(1.0, abs=0.1)
    assert speed(np.zeros((1, windows.WIDTH), dtype=np.int32)) == 1.0


def test_what_has_doubled_its_pace_in_the_last_minutes_has_velocity_two() -> None:
    assert 1.4 < speed(paced((DAY, 600, 50), (600, 0, 100))) < 2.0
    assert speed(paced((DAY, 1_500, 50), (1_500, 0, 100))) == pytest.approx(1.9, abs=0.2)


def test_what_halves_falls_below_one_and_what_stops_falls_to_nothing() -> None:
    assert speed(paced((DAY, 1_800, 100), (1_800, 0, 50))) == pytest.approx(0.5, abs=0.1)
    assert speed(paced((DAY, 3_600, 100))) < 0.05


def test_a_few_more_make_no_trend() -> None:
    assert speed(paced((60.0, 0, 1))) < 1.5 < speed(paced((60.0, 0, 50)))


def test_it_fades_when_nothing_follows() -> None:
    burst = paced((300.0, 0, 50))
    faded = [speed(burst, NOW + minutes * 60) for minutes in (0, 10, 20, 50)]
    assert faded == sorted(faded, reverse=True)
    assert speed(burst, NOW + 10 * DAY) == 1.0


def test_only_outcomes_count() -> None:
    assert speed(paced((600.0, 0, 9), kind=Counter.LIKES)) == 1.0


@given(st.lists(st.tuples(st.sampled_from(list(Counter)), st.floats(-DAY, 9 * DAY), st.integers(-3, 2_000)), max_size=20), st.integers(1, 40))
def test_the_bits_are_the_same_however_many_are_asked_for(events: list[tuple[Counter, float, int]], others: int) -> None:
    state = np.zeros((others + 1, windows.WIDTH), dtype=np.int32)
    state = added(state, [(place % (others + 1), NOW - ago_s, counter, amount) for place, (counter, ago_s, amount) in enumerate(events)])
    now = NOW + np.arange(others + 1) * 37.5
    together = velocity(state, now)
    assert (together > 0).all()
    assert np.isfinite(together).all()
    for place in range(others + 1):
        assert velocity(state[place : place + 1], now[place : place + 1]).tobytes() == together[place : place + 1].tobytes()

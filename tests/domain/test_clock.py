"""Tests of the clocks."""

import time

import pytest

from reelrank.domain.clock import Clock, ManualClock, ShiftedClock, SystemClock


@pytest.mark.parametrize(("clock", "shift_s"), [(SystemClock(), 0.0), (ShiftedClock(-86_400.0), -86_400.0), (ShiftedClock(60.0), 60.0)])
def test_a_running_clock_is_as_far_from_the_machine_s_as_it_says(clock: Clock, shift_s: float) -> None:
    before, now, after = time.time(), clock.now(), time.time()
    assert before + shift_s <= now <= after + shift_s


def test_a_manual_clock_moves_only_forward_and_only_when_told() -> None:
    clock = ManualClock(5.0)
    assert clock.now() == clock.now() == 5.0
    clock.advance_to(9.0)
    clock.advance_to(7.0)
    assert clock.now() == 9.0

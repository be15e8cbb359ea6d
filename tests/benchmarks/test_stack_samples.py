"""Samples of a stack say where the time went."""

import time

from reelrank.benchmarks.stack_samples import StackSamples


def rest(seconds: float) -> None:
    time.sleep(seconds)


def test_time_goes_to_the_innermost_function_that_has_a_name():
    with StackSamples(lambda _module, function: {"rest": "resting"}.get(function), {"MainThread"}, every_s=0.002) as samples:
        rest(0.3)
        time.sleep(0.1)
    seconds = samples.seconds()
    assert set(seconds) == {"resting", "other"}
    assert 0.2 < seconds["resting"] < 0.4 + 0.2
    assert seconds["resting"] > seconds["other"]

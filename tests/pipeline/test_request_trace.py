"""Tests of the figures of one request."""

import time

import pytest

from reelrank.pipeline.request_trace import RequestTrace


def test_a_stage_that_fails_is_still_timed() -> None:
    trace = RequestTrace()
    with pytest.raises(ZeroDivisionError), trace.stage("broken") as figures:
        figures["in"] = 3
        _ = 1 / 0
    assert trace.stages["broken"]["in"] == 3
    assert trace.stages["broken"]["ms"] >= 0


def test_what_was_left_out_is_named_once() -> None:
    trace = RequestTrace()
    for what in ("ranker", "source a failed", "ranker"):
        trace.degrade(what)
    assert trace.degraded == ["ranker", "source a failed"]


def test_the_times_of_a_stage_that_runs_twice_add_up() -> None:
    trace = RequestTrace()
    with trace.stage("value"):
        time.sleep(0.01)
    with trace.stage("value"):
        pass
    assert trace.stages["value"]["ms"] >= 10

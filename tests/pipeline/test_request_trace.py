"""Tests of the figures of one request."""

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

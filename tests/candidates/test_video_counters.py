"""Tests of reading counters in pieces."""

import pytest

from candidates.small_app import SmallApp
from reelrank.candidates import video_counters as module
from reelrank.candidates.video_counters import video_counters
from reelrank.storage.counter_store import Kind


def test_the_pieces_are_the_whole(two_circles: SmallApp, monkeypatch: pytest.MonkeyPatch) -> None:
    two_circles.publish("never watched")
    monkeypatch.setattr(module, "_AT_A_TIME", 5)
    pieces = list(video_counters(two_circles.reader, two_circles.columns.count))
    rows, counters = two_circles.reader.scan(Kind.VIDEO)
    assert [row for piece, _ in pieces for row in piece] == rows.tolist()
    assert [tuple(record) for _, piece in pieces for record in piece] == [tuple(record) for record in counters]

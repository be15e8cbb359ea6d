"""Tests of `reelrank stream` as a process: what it works out for those that serve."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec

from reelrank.config import as_environment
from reelrank.domain.event import Watch
from reelrank.domain.video import Video
from reelrank.events.validation import decode_batch
from reelrank.wiring import Reelrank

VIDEOS = [Video(video_id=name, author_id="ana", duration_s=10.0, uploaded_at=0.0, tags=("cats",)) for name in ("first", "second")]


def watched(system: Reelrank, video_id: str, people: int) -> None:
    """So many people watch a video to its end."""
    watches = [Watch(event_id=f"{video_id} {person}", user_id=f"user {person}", video_id=video_id, watched_s=10.0) for person in range(people)]
    assert system.collector.accept(decode_batch(msgspec.json.encode(watches))).accepted == people


def test_a_stream_works_out_for_others_what_trends_until_it_is_killed_and_one_of_them_goes_on(system: Reelrank) -> None:
    system.catalog.publish(VIDEOS)
    system.columns.refresh()
    first, second = (system.columns.rows[video.video_id] for video in VIDEOS)
    watched(system, "first", 9)
    board = system.upkeep.board

    def soon(comes: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not comes():
            assert time.monotonic() < deadline
            time.sleep(0.05)
            board.refresh()

    command = [sys.executable, "-m", "reelrank.cli", "stream"]
    with subprocess.Popen(command, env=os.environ | as_environment(system.settings)) as stream:
        soon(lambda: board._maker is None and board.everywhere().tolist() == [first])  # the stream has made it
        stream.kill()
    watched(system, "second", 30)
    system.stream.catch_up()
    soon(lambda: board.everywhere().tolist() == [second, first])
    assert board._maker is not None

"""`reelrank up` as a newcomer runs it, in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from conftest import NOW
from reelrank.domain.video import Video
from reelrank.films.film import render
from reelrank.simulation.client import FeedClient

COMMAND = [sys.executable, "-m", "reelrank.cli", "up"]


@contextmanager
def up(*words: str, port: int) -> Iterator[FeedClient]:
    """Runs it until the feed shows something; afterwards stops it as Ctrl-C does."""
    process = subprocess.Popen([*COMMAND, *words, "--port", str(port)], stderr=subprocess.PIPE, text=True)
    try:
        with FeedClient(f"http://127.0.0.1:{port}") as client:
            client.wait_ready(60)
            deadline = time.monotonic() + 60
            while not client.feed("newcomer")["videos"]:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.1)
            yield client
    finally:
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 0, told


def test_a_folder_of_clips_becomes_a_feed_and_is_still_there_the_next_time(tmp_path: Path, free_port: int):
    clips = tmp_path / "clips"
    clips.mkdir()
    for number in range(2):
        video = Video(video_id=f"clip-{number}", author_id="a", duration_s=4.0, uploaded_at=NOW, tags=("surf",), sound_id="s")
        render(video, clips, np.random.default_rng(number))
    (clips / "broken.mp4").write_bytes(b"no video")
    data_dir = ["--data-dir", str(tmp_path / "data")]
    with up("--data", str(clips), *data_dir, port=free_port) as client:
        shown = client.feed("somebody", count=20)["videos"]
        media = client.media(shown[0]["media_url"], {"Range": "bytes=0-99"})
        assert media.status == 206 and len(media.data) == 100
        client.post_raw(json.dumps([{"type": "like", "event_id": "l", "user_id": "fan", "video_id": shown[0]["video_id"]}]).encode())
    assert not list(clips.glob(".*"))  # the folder itself is left as it was
    with up(*data_dir, port=free_port) as client:
        second = subprocess.run([*COMMAND, *data_dir, "--port", "1"], capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1 and f"data folder {tmp_path}/data is in use by process " in second.stderr
        liked: list[str] = []
        deadline = time.monotonic() + 20
        while liked != [shown[0]["video_id"]]:  # the stream goes on where it stopped
            assert time.monotonic() < deadline
            again = client.feed("fan", count=20)["videos"]
            liked = [video["video_id"] for video in again if video["liked"]]
        assert {video["video_id"] for video in again} == {video["video_id"] for video in shown}


def test_data_that_is_not_there_is_said_before_anything_starts(tmp_path: Path):
    done = subprocess.run([*COMMAND, "--data", str(tmp_path / "nothing")], capture_output=True, text=True, timeout=60, env=dict(os.environ))
    assert done.returncode == 1 and "no folder at" in done.stderr and "Traceback" not in done.stderr

"""`reelrank up` as a newcomer runs it, in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from conftest import NOW
from features.slate_log import open_slate_log, visits
from reelrank.config import Settings, StorageConfig, as_environment
from reelrank.domain.video import Video
from reelrank.features.attribution import AttributionConfig
from reelrank.films.film import render
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.simulation.client import FeedClient
from reelrank.storage.last_runs import LastRun
from reelrank.supervisor import held_by
from reelrank.training.online_config import OnlineConfig, TrainConfig
from reelrank.training.publish import GateConfig
from reelrank.wiring import open_reelrank

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


def test_what_came_of_trainings_is_said_at_the_start_and_whenever_one_ends(tmp_path: Path):
    slates = open_slate_log(tmp_path)
    slates.append(*visits(0, 300))
    slates.close()
    system = open_reelrank(settings := trained_again_and_again(tmp_path))
    system.lake_role.catch_up()
    system.last_runs.keep(LastRun(model="graph", outcome="failed", ended_at=NOW, seconds=2.0, problem="MemoryError: no room"))
    system.close()
    environment = os.environ | as_environment(settings)
    with (tmp_path / "told").open("wb") as told:
        process = subprocess.Popen([*COMMAND, "--data-dir", str(tmp_path), "--roles", "train"], stderr=told, env=environment)
    deadline = time.monotonic() + 60
    while "refused" not in (tmp_path / "told").read_text():
        assert time.monotonic() < deadline and process.poll() is None, (tmp_path / "told").read_text()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    lines = [line.partition("  ")[2] for line in (tmp_path / "told").read_text().splitlines() if re.match(r"\d{4}-", line)]
    current = system.artifacts.current("ranker").manifest.version
    assert lines[0] == "graph trained anew in 2 s: failed, MemoryError: no room"
    assert re.fullmatch(rf"ranker trained anew in \d+ s: published as {current}( \(AUC .*\))?", lines[1])
    assert re.fullmatch(rf"ranker trained anew in \d+ s: refused, \d+ users in \d+ held-out examples; 1000 are needed to compare it with {current}", lines[2])


def trained_again_and_again(folder: Path) -> Settings:
    """A ranker of nothing much, that is only ever published because none is live."""
    ranker = RankerSettings(width=8, attention_heads=2, window=8, strong=2, experts=2, hidden=8, thresholds=4, bins=4, pretrain_epochs=0, epochs=1)
    gate, online = GateConfig(min_users=1_000), OnlineConfig(publish_every_s=1e9)
    train = TrainConfig(ranker=ranker, min_examples=100, days=1e5, ranker_every_s=1.0, two_tower_every_s=0, graph_every_s=0, gate=gate, online=online)
    return Settings(data_dir=str(folder), storage=StorageConfig(partitions=2), train=train, attribution=AttributionConfig(window_s=60, remember_s=300))


def test_who_asks_for_new_replicas_while_everything_starts_ends_nothing(tmp_path: Path, free_port: int):
    process = subprocess.Popen(
        [*COMMAND, "--roles", "serve", "--data-dir", str(tmp_path / "data"), "--port", str(free_port)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while held_by(tmp_path / "data") != process.pid:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGUSR1)
    time.sleep(0.1)  # of two signals that wait the kernel may hand over either first
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0, told


def test_data_that_is_not_there_is_said_before_anything_starts(tmp_path: Path):
    done = subprocess.run([*COMMAND, "--data", str(tmp_path / "nothing")], capture_output=True, text=True, timeout=60, env=dict(os.environ))
    assert done.returncode == 1 and "no folder at" in done.stderr and "Traceback" not in done.stderr

"""Rankers and towers with their indexes are published while people ask: everybody is answered, and no answer is of two versions of one model.

Each version betrays itself. A ranker says one and the same chance of everything, another one than all others. Towers see two kinds of
videos, and what is nearest is of the kind of the last watch: by turns the even rows, and those of the lower half.
"""

import math
import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from models.small_towers import planted_towers
from ranking.small_ranker import write_ranker
from reelrank.benchmarks.scratch import Scratch, scratch_system
from reelrank.candidates.nearest import TWO_TOWER
from reelrank.config import Settings
from reelrank.domain.candidate import HEADS
from reelrank.domain.event import Impression, Served, Watch, decode_accepted
from reelrank.domain.video import Video
from reelrank.features.side_by_side import SideBySide
from reelrank.models.sessions import Manifest
from reelrank.ranking.ranker_scorer import RANKER
from reelrank.simulation.client import FeedClient
from reelrank.storage.event_log import EVENTS
from reelrank.training.export_two_tower import export

VIDEOS, USERS, ROUNDS = 60, 12, 6
SETTINGS = {
    "params": {"quota": {"nearest": 12, "trending": 20, "fresh": 40}, "exploration": 0.0},
    "index": {"vectors": {"exact_up_to": VIDEOS // 2}},  # so that there is a file in cells, too
}


class Published:
    """Publishes versions, and knows what each of them says."""

    def __init__(self, system: Scratch, folder: Path) -> None:
        self.chances: dict[str, float] = {}  # of a ranker
        self.near: dict[str, set[str]] = {}  # by the version of the towers: what may be found
        self._inside = system.inside
        self._folder = folder
        self._videos = [self._inside.columns.videos[row].video_id for row in range(VIDEOS)]
        write_ranker(folder / "ranker", videos=VIDEOS)
        self._kinds = (np.arange(VIDEOS) % 2, 2 + np.arange(VIDEOS) // (VIDEOS // 2))  # those of the second have directions of their own
        for turn, kinds in enumerate(self._kinds):
            export(planted_towers(kinds.tolist()), 8, folder / f"towers {turn}")

    def ranker(self, number: int) -> None:
        chance = (number + 1) / (ROUNDS + 2)

        def write(folder: Path) -> None:
            shutil.copytree(self._folder / "ranker", folder, dirs_exist_ok=True)
            manifest = Manifest.load(folder)
            always = dict.fromkeys(manifest.heads, (0.0, math.log(chance / (1.0 - chance))))
            (folder / "ranker.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, calibration=always)))

        self.chances[self._inside.artifacts.publish(RANKER, time.time(), write).manifest.version] = chance

    def towers(self, number: int) -> None:
        turn = number % 2

        def write(folder: Path) -> None:
            shutil.copytree(self._folder / f"towers {turn}", folder, dirs_exist_ok=True)

        made, kinds = self._inside.artifacts.publish(TWO_TOWER, time.time(), write), self._kinds[turn]
        self.near[made.manifest.version] = {name for name, kind in zip(self._videos, kinds, strict=True) if kind == kinds[0]}
        assert "60 of two_tower_index" in self._inside.vector_builder.build()


@pytest.fixture
def system() -> Iterator[Scratch]:
    """Sixty videos, and people who have watched the first one."""
    with scratch_system(msgspec.convert(SETTINGS, Settings)) as system:
        now = time.time()
        system.publish([Video(video_id=f"v{row}", author_id=f"a{row}", duration_s=9.0, uploaded_at=now - row) for row in range(VIDEOS)])
        system.inside.columns.refresh()
        first = system.inside.columns.videos[0].video_id
        for user in range(USERS):
            seen = {"user_id": f"u{user}", "video_id": first, "occurred_at": now}
            system.client.post_events([Impression(event_id=f"i{user}", **seen), Watch(event_id=f"w{user}", watched_s=9.0, **seen)])
        system.wait_folded()
        yield system


def asking(url: str, number: int, answers: list[dict[str, Any]], ended: threading.Event) -> None:
    with FeedClient(url, retries=0) as client:
        while not ended.wait(0.01):
            answers.append(client.feed(f"u{(number + 3 * len(answers)) % USERS}", count=5))  # raises when it is refused


def served(system: Scratch) -> dict[str, Served]:
    log, found = system.inside.log, dict[str, Served]()
    for partition in range(log.partitions):
        for record in log.read(EVENTS, partition, 0, 100_000):
            event = decode_accepted(record.value).event
            if isinstance(event, Served):
                found[event.request_id] = event
    return found


def test_whatever_is_published_while_people_ask_each_answer_is_of_one_version_and_says_which(system: Scratch, tmp_path: Path) -> None:
    published = Published(system, tmp_path)
    published.ranker(0)
    published.towers(0)
    answers: list[dict[str, Any]] = []
    deadline = time.monotonic() + 20
    with FeedClient(system.supervisor.url) as client:
        while client.feed("u0")["models"].keys() != {RANKER, TWO_TOWER}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with SideBySide({f"client-{number}": partial(asking, system.supervisor.url, number, answers) for number in range(3)}):
        for number in range(1, ROUNDS + 1):
            published.towers(number)
            published.ranker(number)
            before = len(answers)
            newest = {RANKER: list(published.chances)[-1], TWO_TOWER: list(published.near)[-1]}
            while not any(answer["models"] == newest for answer in answers[before:]):
                assert time.monotonic() < deadline + 20
                time.sleep(0.02)
    system.wait_at_rest()
    slates = served(system)
    spoke, found = {RANKER: set[str](), TWO_TOWER: set[str]()}, 0
    for answer in answers:
        slate = slates[answer["request_id"]]
        assert slate.models == answer["models"]
        assert (answer["degraded"], answer["ranked_by"], len(answer["videos"])) == ([], RANKER, 5)
        chance, near = published.chances[slate.models[RANKER]], published.near[slate.models[TWO_TOWER]]
        for video in slate.videos:
            assert [value for head, value in video.predictions.items() if head != "watch_s"] == pytest.approx([chance] * len(HEADS))
            if "nearest" in video.sources:
                assert video.video_id in near
                found += 1
        for name, version in slate.models.items():
            spoke[name].add(version)
    assert spoke == {RANKER: set(published.chances), TWO_TOWER: set(published.near)}
    assert any(answer["kept"] for answer in answers)
    assert found > len(answers)

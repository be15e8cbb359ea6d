"""The attributor: every example exactly once, whatever dies when."""

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.slate_log import BreakingLog, SlateLog, open_slate_log, visits
from features.slates import VIDEOS, clock, event, served, watched
from reelrank.benchmarks.example_check import check_examples
from reelrank.domain.event import Impression
from reelrank.domain.example import Origins
from reelrank.features.attribution import AttributionConfig
from reelrank.features.attributor import Attributor, all_examples, last_example, read_examples
from reelrank.features.columns import VideoColumns
from reelrank.storage.catalog_sqlite import SqliteCatalog
from reelrank.storage.event_log import EVENTS, EXAMPLES, Record, StorageError

CONFIG = AttributionConfig(window_s=60, lateness_s=5, remember_s=300, max_slates=40, progress_every=50, batch=20)


def checked(slates: SlateLog, config: AttributionConfig = CONFIG) -> tuple[int, int, int]:
    return check_examples(slates.log, None, slates.columns, config)


def test_examples_lie_in_the_partition_of_their_events(slates: SlateLog) -> None:
    slates.append(*visits(0, 100))
    Attributor(slates.log, slates.columns, CONFIG).catch_up()
    for partition in range(2):
        made = list(all_examples(slates.log, partition))
        assert {one.partition for one in made} == {partition}
        assert [one.origin for one in made] == sorted({one.origin for one in made})
    missing, double, compared = checked(slates)
    assert (missing, double) == (0, 0)
    assert compared > 100


class _AwayColumns(VideoColumns):
    """Columns of a catalogue that is away for the first `times` looks at it."""

    times = 0

    def refresh(self) -> int:
        if self.times:
            self.times -= 1
            raise StorageError("the catalogue is away")
        return super().refresh()


def test_what_comes_while_the_catalogue_is_away_becomes_examples_when_it_is_back(slates: SlateLog, tmp_path: Path) -> None:
    catalog = SqliteCatalog(tmp_path / "empty.sqlite")
    columns = _AwayColumns(catalog, tmp_path / "away")
    catalog.publish(list(VIDEOS.values()))
    columns.times = 3
    slates.append(*visits(0, 60))
    attributor = Attributor(slates.log, columns, CONFIG)
    for _ in range(3):
        with pytest.raises(StorageError, match="the catalogue is away"):
            attributor.catch_up()
    attributor.catch_up()
    missing, double, compared = checked(slates)
    assert (missing, double) == (0, 0)
    assert compared > 50
    catalog.close()


@settings(max_examples=60)
@given(
    lives=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12), st.floats(0, 1), st.booleans()), min_size=1, max_size=6),
    batch=st.integers(1, 70),
    seed=st.integers(0, 1_000),
)
def test_every_example_is_there_once_whatever_the_batches_and_wherever_it_breaks(lives: list[tuple[int, int, float, bool]], batch: int, seed: int) -> None:
    config = msgspec.structs.replace(CONFIG, batch=batch)
    with tempfile.TemporaryDirectory() as folder:
        slates = open_slate_log(Path(folder))
        zombies: list[Attributor] = []
        first = 0
        for count, breaks_at, kept, comes_back in lives:
            slates.append(*visits(first, count, seed=seed))
            first += count
            attributor = Attributor(BreakingLog(slates.log, breaks_at, kept), slates.columns, config)
            try:
                attributor.catch_up()
            except StorageError:
                if comes_back:  # thought dead, and goes on beside its successor
                    zombies.append(attributor)
        Attributor(slates.log, slates.columns, config).catch_up()
        for zombie in zombies:
            zombie.catch_up()
        slates.append(*visits(first, 3, seed=seed))
        Attributor(slates.log, slates.columns, config).catch_up()
        assert checked(slates, config)[:2] == (0, 0)
        slates.close()


def test_what_could_not_be_appended_is_appended_the_next_time(slates: SlateLog) -> None:
    slates.append(*visits(0, 50))
    attributor = Attributor(BreakingLog(slates.log, 2, 0.5), slates.columns, CONFIG)
    with pytest.raises(StorageError, match="went away"):
        attributor.catch_up()
    attributor.catch_up()
    assert checked(slates)[:2] == (0, 0)


def test_a_restart_reads_no_more_than_what_is_remembered(slates: SlateLog) -> None:
    slates.append(*visits(0, 2_000))
    Attributor(slates.log, slates.columns, CONFIG).catch_up()
    for partition in range(2):
        tail = last_example(slates.log, partition)
        assert tail is not None
        end = slates.log.end(EVENTS, partition)
        assert end - tail.offset <= 50  # a record of progress, if nothing else
        assert tail.offset - tail.replay_from < 1_000 < end  # 300 s of slates


def test_progress_is_told_when_nothing_is_served(slates: SlateLog) -> None:
    slates.append(*(event(Impression, request="", user="u", at=number) for number in range(500)))
    Attributor(slates.log, slates.columns, CONFIG).catch_up()
    tails = [tail for partition in range(2) if (tail := last_example(slates.log, partition)) is not None]
    assert [(tail.kind, tail.offset, tail.replay_from) for tail in tails] == [("progress", 450, 450)]
    assert [list(all_examples(slates.log, partition)) for partition in range(2)] == [[], []]


def test_a_record_that_nobody_can_read_does_not_stop_the_others(slates: SlateLog, caplog: pytest.LogCaptureFixture) -> None:
    slates.append(served())
    slates.log.append(EVENTS, [Record("u", b"from another world")])
    slates.append(watched())
    Attributor(slates.log, slates.columns, CONFIG).catch_up()
    assert "can't be read" in caplog.text
    assert sum(len(list(all_examples(slates.log, partition))) for partition in range(2)) == 1


def test_examples_are_read_in_pieces_each_once(slates: SlateLog) -> None:
    slates.append(*visits(0, 60))
    Attributor(slates.log, slates.columns, CONFIG).catch_up()
    for record in slates.log.read(EXAMPLES, 0, 5, 20):  # somebody writes them again
        slates.log.append(EXAMPLES, [Record("", record.value, 0)])
    origins, offset, found = Origins(), 0, []
    while True:
        more, after = read_examples(slates.log, 0, offset, 7, origins)
        found += more
        if after == offset:
            break
        offset = after
    assert found == list(all_examples(slates.log, 0))
    assert checked(slates)[:2] == (0, 0)


def test_a_video_published_a_moment_ago_is_found(slates: SlateLog) -> None:
    new = msgspec.structs.replace(slates.columns.videos[0], video_id="new")
    slates.catalog.publish([new])
    slates.append(served(videos=("new",)), watched("new"))
    Attributor(slates.log, slates.columns, CONFIG).catch_up()
    (made,) = [made for partition in range(2) for made in all_examples(slates.log, partition)]
    assert made.place.author_id == new.author_id


def test_it_follows_the_log_until_it_is_stopped(slates: SlateLog) -> None:
    attributor, stopping = Attributor(slates.log, slates.columns, CONFIG), threading.Event()
    thread = threading.Thread(target=attributor.follow, args=(stopping.is_set,))
    thread.start()
    slates.append(served(), event(Impression), watched())
    deadline = time.monotonic() + 10
    while not any(list(all_examples(slates.log, partition)) for partition in range(2)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    stopping.set()
    thread.join(10)
    assert not thread.is_alive()
    assert attributor.counts()["watched"] == 1


FOLLOWER = """
import sys
from pathlib import Path
import msgspec
from features.slate_log import open_slate_log
from reelrank.features.attribution import AttributionConfig
from reelrank.features.attributor import Attributor
slates = open_slate_log(Path(sys.argv[1]))
Attributor(slates.log, slates.columns, msgspec.json.decode(sys.argv[2], type=AttributionConfig)).follow(lambda: False)
"""


def test_processes_that_are_killed_again_and_again_leave_every_example_once(slates: SlateLog, tmp_path: Path) -> None:
    chance = random.Random(7)
    command = [sys.executable, "-W", "error", "-c", FOLLOWER, str(tmp_path), msgspec.json.encode(CONFIG).decode()]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])}
    children = [subprocess.Popen(command, env=environment) for _ in range(2)]
    try:
        for number in range(150):
            slates.append(*visits(number * 10, 10))
            time.sleep(0.02)
            if number % 25 == 24:
                victim = chance.randrange(2)
                children[victim].kill()
                children[victim].wait()
                children[victim] = subprocess.Popen(command, env=environment)
        slates.append(clock(100_000))
        deadline = time.monotonic() + 30
        while (found := checked(slates))[0] > 100:  # they have come along
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
    finally:
        for child in children:
            child.kill()
            child.wait()
    Attributor(slates.log, slates.columns, CONFIG).catch_up()
    missing, double, compared = checked(slates)
    assert (missing, double) == (0, 0)
    assert compared > 1_500

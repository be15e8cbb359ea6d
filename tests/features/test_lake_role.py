"""The lake role: examples and tables come along by themselves, and one half does not outlive the other."""

import threading
import time
from pathlib import Path

import pytest

from features.slate_log import SlateLog, visits
from features.slates import NOW
from reelrank.benchmarks.example_check import check_events, check_examples
from reelrank.domain.clock import ManualClock
from reelrank.features.attribution import AttributionConfig
from reelrank.features.lake_role import LakeRole
from reelrank.storage.lake import Lake, LakeConfig

CONFIG = AttributionConfig(window_s=60, remember_s=300)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), LakeConfig(flush_s=0.2))


def test_it_follows_the_log_until_it_is_stopped(slates: SlateLog, lake: Lake) -> None:
    role, stopping = LakeRole(slates.log, slates.columns, lake, ManualClock(NOW), CONFIG), threading.Event()
    thread = threading.Thread(target=role.follow, args=(stopping.is_set,))
    thread.start()
    for number in range(5):
        slates.append(*visits(number * 20, 20))
        time.sleep(0.1)
    deadline = time.monotonic() + 20
    while check_events(slates.log, lake).missing or check_examples(slates.log, lake, slates.columns, CONFIG).missing:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stopping.set()
    thread.join(10)
    assert not thread.is_alive()
    done = role.done()
    assert done["slates"] == 100
    assert done["copied_events"] == sum(slates.log.end("events", partition) for partition in range(2))


def test_it_catches_up_in_one_go(slates: SlateLog, lake: Lake) -> None:
    slates.append(*visits(0, 100))
    role = LakeRole(slates.log, slates.columns, lake, ManualClock(NOW), CONFIG)
    assert role.catch_up() > 300
    assert role.catch_up() == 0
    assert check_examples(slates.log, lake, slates.columns, CONFIG)[:2] == (0, 0)


def test_what_breaks_one_half_ends_both_and_is_told(slates: SlateLog, lake: Lake) -> None:
    role = LakeRole(slates.log, slates.columns, lake, ManualClock(NOW), CONFIG)
    slates.columns.rows = None  # a fault that nobody foresaw
    slates.append(*visits(0, 5))
    with pytest.raises(AttributeError, match="NoneType"):
        role.follow(lambda: False)

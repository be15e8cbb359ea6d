"""Readers of a group share a topic's partitions, over every backend of the event log."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reelrank.storage.event_log import EVENTS, SIGNALS, EventLog, Membership
from storage.backends import EVENT_LOGS, Start

PARTITIONS = 4
WITHIN_S = 60.0
TAKEN_OVER_WITHIN_S = {"embedded": 1.0, "kafka": 10.0}  # after a kill; brokers wait 6 s before they call a member dead

Join = Callable[..., Membership]


@pytest.fixture(params=EVENT_LOGS)
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "kafka":
        request.getfixturevalue("kafka")
    return request.param


@pytest.fixture
def log(backend: str, tmp_path: Path) -> Iterator[EventLog]:
    log = EVENT_LOGS[backend](tmp_path / "log", PARTITIONS)
    yield log
    log.close()


@pytest.fixture
def join(log: EventLog) -> Iterator[Join]:
    with ExitStack() as joined:

        def _join(group: str = "stream", topic: str = EVENTS) -> Membership:
            member = log.join(group, topic)
            joined.callback(member.close)
            return member

        yield _join


def settled(members: list[Membership], within_s: float = WITHIN_S) -> list[frozenset[int]]:
    """What the members have once every partition has its reader and the shares are fair; no two ever have the same one."""
    shares: list[frozenset[int]] = [frozenset()] * len(members)
    deadline = time.monotonic() + within_s
    while True:
        for place, member in enumerate(members):
            shares[place] = member.partitions()
            assert sum(map(len, shares)) == len(frozenset().union(*shares))
        sizes = sorted(map(len, shares))
        if sum(sizes) == PARTITIONS and sizes[-1] - sizes[0] <= 1:
            return shares
        assert time.monotonic() < deadline, shares
        time.sleep(0.01)


def test_one_reader_has_every_partition(join: Join) -> None:
    assert settled([join()]) == [{0, 1, 2, 3}]


def test_readers_share_fairly_as_they_come_and_go(join: Join) -> None:
    members = [join()]
    settled(members)
    members.append(join())
    two = settled(members)
    members.append(join())
    settled(members)
    members.pop().close()
    assert sorted(map(len, settled(members))) == sorted(map(len, two)) == [2, 2]
    members.pop(0).close()
    assert settled(members) == [{0, 1, 2, 3}]


def test_more_readers_than_partitions_is_no_harm(join: Join) -> None:
    members = [join() for _ in range(PARTITIONS + 1)]
    assert sorted(map(len, settled(members))) == [0, 1, 1, 1, 1]


def test_who_has_left_has_nothing(join: Join) -> None:
    member = join()
    settled([member])
    member.close()
    assert member.partitions() == frozenset()
    member.close()


def test_groups_and_topics_are_divided_apart(join: Join) -> None:
    for member in (join(), join("lake"), join("stream", SIGNALS)):
        assert settled([member]) == [{0, 1, 2, 3}]


def test_a_killed_reader_s_partitions_go_to_the_others(backend: str, join: Join, start: Start, tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from storage.backends import EVENT_LOGS
member = EVENT_LOGS["{backend}"](Path(sys.argv[1]), {PARTITIONS}).join("stream")
while True:
    print(len(member.partitions()), flush=True)
    time.sleep(0.02)
"""
    child = start(program, tmp_path / "log")
    assert child.stdout is not None
    while child.stdout.readline() != "4\n":
        assert child.poll() is None
    mine = join()
    deadline = time.monotonic() + WITHIN_S
    while len(mine.partitions()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.kill()
    assert settled([mine], TAKEN_OVER_WITHIN_S[backend] + 2) == [{0, 1, 2, 3}]  # the machine may be busy

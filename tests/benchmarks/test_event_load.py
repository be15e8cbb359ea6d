"""Batches that can be told apart, and the search for them in a log."""

from pathlib import Path

import msgspec
import pytest

from conftest import NOW
from reelrank.benchmarks.event_load import Batches, not_in_log
from reelrank.domain.event import Accepted, encode_accepted
from reelrank.events.validation import decode_batch
from reelrank.simulation.world import World
from reelrank.storage.event_log import EVENTS, Record
from reelrank.storage.event_log_embedded import EmbeddedEventLog


@pytest.fixture(scope="module")
def batches() -> Batches:
    return Batches(World.from_seed(0, videos=40, users=30, authors=8, now=NOW), seed=0, size=10)


def body(batches: Batches, number: int) -> bytes:
    return batches.request(number).partition(b"\r\n\r\n")[2]


def test_every_number_makes_a_batch_of_good_events_with_ids_of_its_own(batches: Batches) -> None:
    ids: set[str] = set()
    for number in (0, 1, 200, 2**31):
        read = decode_batch(body(batches, number))
        assert (len(read.events), read.refused) == (10, [])
        ids |= {decoded.event.event_id for decoded in read.events}
    assert len(ids) == 40


def test_the_announced_length_is_that_of_the_body(batches: Batches) -> None:
    assert b"Content-Length: %d\r\n" % len(body(batches, 7)) in batches.request(7)


def test_the_events_are_of_many_kinds_and_say_where_they_were_watched(batches: Batches) -> None:
    events = [decoded.event for number in range(200) for decoded in decode_batch(body(batches, number)).events]
    assert {"Impression", "Watch", "Skip", "Like"} <= {type(event).__name__ for event in events}
    assert all(event.context.network for event in events)


def test_what_the_log_does_not_hold_is_counted(batches: Batches, tmp_path: Path) -> None:
    log = EmbeddedEventLog(tmp_path)
    for number in (0, 1, 2):
        events = [decoded.event for decoded in decode_batch(body(batches, number)).events]
        log.append(EVENTS, [Record(event.key, encode_accepted(Accepted(event, NOW, NOW))) for event in events[number:]])
    log.append(EVENTS, batches.records(0))  # without a number: nobody's
    other = msgspec.structs.replace(decode_batch(body(batches, 0)).events[0].event, event_id="publish-v.1")
    log.append(EVENTS, [Record(other.key, encode_accepted(Accepted(other, NOW, NOW)))])
    assert not_in_log(log, [0], 10) == 0
    assert not_in_log(log, [0, 1, 2], 10) == 1 + 2
    assert not_in_log(log, [0, 3], 10) == 10
    log.close()

"""Doors: what is refused before it is taken, and what never is."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reelrank.serving.admission import Door
from reelrank.serving.answers import Refuse
from serving.running_service import Service, running, watch, with_videos, within


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def door(clock: _Clock, at_most: int = 1_000, max_bytes: int = 1_000) -> Door:
    return Door("events", at_most=at_most, max_wait_s=0.25, always=2, max_bytes=max_bytes, clock=clock)


def at_a_pace(one: Door, clock: _Clock, each_s: float, times: int = 50) -> None:
    """Work of size 10 is done, one after the other."""
    for _ in range(times):
        one.begin(10)
        clock.now += each_s
        one.finish(10)


def test_an_idle_door_lets_everybody_in(clock: _Clock) -> None:
    one = door(clock)
    clock.now += 3_600
    assert one.refusal() is None
    assert one.expected_wait_s == 0


def test_the_wait_is_what_is_there_at_the_pace_of_late(clock: _Clock) -> None:
    one = door(clock)
    at_a_pace(one, clock, each_s=0.01)
    for _ in range(20):
        one.begin(10)
    assert one.expected_wait_s == pytest.approx(0.2, rel=0.01)
    assert one.refusal() is None
    for _ in range(10):
        one.begin(10)
    assert one.expected_wait_s == pytest.approx(0.3, rel=0.01)
    assert "wait for 0.3 s" in (one.refusal() or "")
    assert one.shed == {"wait": 1}


def test_a_pace_that_changes_is_noticed_within_seconds(clock: _Clock) -> None:
    one = door(clock)
    at_a_pace(one, clock, each_s=0.001, times=1_000)
    at_a_pace(one, clock, each_s=0.1, times=50)
    one.begin(10)
    assert one.expected_wait_s == pytest.approx(0.1, rel=0.1)


def test_when_nothing_gets_done_any_more_that_is_the_wait(clock: _Clock) -> None:
    one = door(clock)
    at_a_pace(one, clock, each_s=0.001)
    for _ in range(2):
        one.begin(10)
    clock.now += 0.2
    assert one.refusal() is None
    clock.now += 0.1
    assert one.refusal() is not None


def test_a_few_are_let_in_however_slow_it_is(clock: _Clock) -> None:
    one = door(clock)
    at_a_pace(one, clock, each_s=5.0)
    one.begin(10)
    assert one.refusal() is None
    one.begin(10)
    assert one.refusal() is not None


def test_a_late_event_loop_counts_on_the_way_in_and_on_the_way_out(clock: _Clock) -> None:
    one = door(clock)
    at_a_pace(one, clock, each_s=0.01)
    for _ in range(10):
        one.begin(10)
    assert one.refusal() is None
    one.lag_s = 0.1
    assert one.refusal() is not None


def test_more_than_there_may_be_are_refused_by_their_number(clock: _Clock) -> None:
    one = door(clock, at_most=3)
    for _ in range(3):
        one.begin()
    with pytest.raises(Refuse) as refused:
        one.check()
    assert refused.value.status_code == 429
    assert refused.value.headers == {"Retry-After": "1"}
    one.finish()
    one.check()


def test_bytes_are_bounded_but_one_body_always_has_room(clock: _Clock) -> None:
    one = door(clock, max_bytes=1_000)
    one.hold(5_000)
    with pytest.raises(Refuse):
        one.hold(1)
    one.release(5_000)
    one.hold(600)
    with pytest.raises(Refuse):
        one.hold(600)
    assert (one.held_bytes, one.shed) == (600, {"bytes": 2})


_HOLDER = """
import lmdb, sys, time
log = lmdb.open(sys.argv[1], map_size=1 << 38, max_dbs=64)
with log.begin(write=True):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def busy_log(folder: Path) -> Iterator[None]:
    """Another process keeps the log's only writing transaction to itself: a log that hangs."""
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            holder.communicate()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Service]:
    """A service that lets little in."""
    yield from with_videos(running(tmp_path, max_pending_batches=20, max_pending_bytes=100_000, body_timeout_s=1.0))


def figures(service: Service) -> dict[tuple[str, ...], float]:
    text = service.get("/metrics").data.decode()
    return {(sample.name, *sample.labels.values()): sample.value for family in text_string_to_metric_families(text) for sample in family.samples}


def test_while_the_log_hangs_batches_are_refused_feeds_are_answered_and_nothing_is_lost(small: Service, tmp_path: Path) -> None:
    with ThreadPoolExecutor(40) as clients:
        with busy_log(tmp_path / "log"):
            posted = [clients.submit(small.post, [watch(f"e-{place}")]) for place in range(40)]
            within(lambda: sum(one.done() for one in posted) >= 20)
            began = time.perf_counter()
            assert small.get("/v1/feed?user_id=ana").status == 200
            assert time.perf_counter() - began < 2
            assert not any(one.done() and one.result().status == 202 for one in posted)
        answers = [one.result(20) for one in posted]
    refused = [answer for answer in answers if answer.status == 429]
    assert {answer.status for answer in answers} == {202, 429}
    assert 20 <= len(refused) < 40
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert {answer.headers["X-Content-Type-Options"] for answer in refused} == {"nosniff"}
    assert all("again" in answer.json()["error"] for answer in refused)
    assert len([name for name in small.stored_ids() if name.startswith("e-")]) == 40 - len(refused)
    counted = figures(small)
    assert counted["reelrank_shed_total", "events", "number"] + counted["reelrank_shed_total", "events", "wait"] == len(refused)
    assert counted["reelrank_pending", "events"] == counted["reelrank_pending_bytes", "events"] == 0
    within(lambda: small.post([watch("later")]).status == 202)


def opened(service: Service, sent: bytes) -> socket.socket:
    host, port = service.server.url.removeprefix("http://").split(":")
    wire = socket.create_connection((host, int(port)), timeout=20)
    wire.sendall(sent)
    return wire


def everything(wire: socket.socket) -> bytes:
    """What comes until the server closes."""
    answer = b""
    while part := wire.recv(65_536):
        answer += part
    return answer


HEAD = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_a_body_is_refused_by_its_announced_length_before_any_of_it_is_there(small: Service) -> None:
    with opened(small, HEAD + b"Content-Length: 80000\r\n\r\n["):
        within(lambda: figures(small)["reelrank_pending_bytes", "events"] == 80_000)
        with opened(small, HEAD + b"Content-Length: 30000\r\n\r\n") as second:
            assert second.recv(65_536).startswith(b"HTTP/1.1 429 ")
        assert small.post([watch("e-1")]).status == 202  # there is room for a small one
    within(lambda: figures(small)["reelrank_pending_bytes", "events"] == 0)


def test_a_body_in_chunks_is_refused_by_what_has_come_so_far(small: Service) -> None:
    with opened(small, HEAD + b"Content-Length: 80000\r\n\r\n["):
        within(lambda: figures(small)["reelrank_pending_bytes", "events"] == 80_000)
        with opened(small, HEAD + b"Transfer-Encoding: chunked\r\n\r\n4e20\r\n" + b" " * 20_000 + b"\r\n") as second:
            within(lambda: figures(small)["reelrank_pending_bytes", "events"] == 100_000)
            second.sendall(b"1\r\n[\r\n")
            assert second.recv(65_536).startswith(b"HTTP/1.1 429 ")


def test_a_body_that_does_not_come_in_time_is_given_up(small: Service) -> None:
    with opened(small, HEAD + b"Content-Length: 1000\r\n\r\n[") as wire:
        answer = everything(wire)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"within 1 s" in answer


def test_a_feed_that_would_wait_too_long_is_told_to_come_back(tmp_path: Path) -> None:
    for service in with_videos(running(tmp_path, max_pending_feeds=4, feed_threads=1)):
        feeds = service.system.services.feed_threads
        with ThreadPoolExecutor(12) as clients:
            feeds.submit(time.sleep, 1.5)
            asked = [clients.submit(service.get, f"/v1/feed?user_id=u{place}") for place in range(12)]
            answers = [one.result(20) for one in asked]
        assert {answer.status for answer in answers} == {200, 429}
        assert sum(answer.status == 200 for answer in answers) <= 4
        assert {answer.headers["Retry-After"] for answer in answers if answer.status == 429} == {"1"}
        assert service.get("/v1/feed?user_id=ana").status == 200

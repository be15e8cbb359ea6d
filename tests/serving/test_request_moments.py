"""The moment of a request: the same for every repeat of it, on every replica."""

import pytest

from conftest import NOW
from reelrank.serving.request_moments import RequestMoments

UUID4 = "0b0d4f9e-3f0f-4a56-9d6e-2f8f6c1c7f11"


def uuid7(at: float) -> str:
    told = f"{round(at * 1000):012x}"
    return f"{told[:8]}-{told[8:]}-7abc-8def-0123456789ab"


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now


def moments(clock: Clock, shift_s: float = 0.0) -> RequestMoments:
    return RequestMoments(lambda: clock.now, shift_s)


def test_without_an_id_a_request_is_made_when_it_comes() -> None:
    assert moments(Clock(NOW)).of("ana", {}) == ("", NOW)


def test_what_the_proxy_says_is_the_moment_in_every_replica() -> None:
    headers = {"x-request-id": UUID4, "x-request-start": str(round((NOW - 0.123) * 1000))}
    first, second = moments(Clock(NOW)).of("ana", headers), moments(Clock(NOW + 3.0)).of("ana", headers)
    assert first == second == (UUID4, round(NOW - 0.123, 3))


def test_an_id_that_tells_its_time_has_that_moment_in_every_replica_whatever_a_proxy_says() -> None:
    at = NOW - 5.25
    first = moments(Clock(NOW)).of("ana", {"x-request-id": uuid7(at), "x-request-start": str(round(NOW * 1000))})
    assert first == moments(Clock(NOW + 20.0)).of("ana", {"x-request-id": uuid7(at)}) == (uuid7(at), at)


def test_another_id_has_the_moment_at_which_it_came_first() -> None:
    clock = Clock(NOW)
    replica = moments(clock)
    first = replica.of("ana", {"x-request-id": "abc"})
    clock.now += 7.0
    assert replica.of("ana", {"x-request-id": "abc"}) == first == ("abc", NOW)
    assert replica.of("ben", {"x-request-id": "abc"}).at == clock.now


def test_after_a_minute_an_id_is_a_new_request() -> None:
    clock = Clock(NOW)
    replica = moments(clock)
    replica.of("ana", {"x-request-id": "abc"})
    clock.now += 61.0
    assert replica.of("ana", {"x-request-id": "abc"}).at == clock.now
    assert replica.of("ana", {"x-request-id": uuid7(NOW)}).at == clock.now


def test_a_moment_to_come_is_not_believed() -> None:
    told = {"x-request-id": uuid7(NOW + 30.0), "x-request-start": str(round((NOW + 30.0) * 1000))}
    assert moments(Clock(NOW)).of("ana", told).at == NOW


@pytest.mark.parametrize("text", ["", "soon", "-5", "1" * 40, "٣"])
def test_a_start_that_is_no_number_is_left_out(text: str) -> None:
    assert moments(Clock(NOW)).of("ana", {"x-request-id": "abc", "x-request-start": text}).at == NOW


@pytest.mark.parametrize("text", [" ", "x" * 129, "caf\xe9", "a\x01b"])
def test_what_is_no_id_names_nothing(text: str) -> None:
    assert moments(Clock(NOW)).of("ana", {"x-request-id": text}).id == ""


def test_a_log_of_the_past_is_served_at_its_own_time() -> None:
    shift_s = -1_000_000.5
    headers = {"x-request-id": UUID4, "x-request-start": str(round(NOW * 1000))}
    assert moments(Clock(NOW + shift_s + 0.2), shift_s).of("ana", headers).at == NOW + shift_s

"""Live, ready and metrics."""

from collections.abc import Callable

import pytest

from reelrank.storage.event_log import StorageError
from serving.running_service import Service, watch


def test_a_running_process_lives(shared: Service) -> None:
    assert shared.get("/-/live").json() == {"live": True}


def test_ready_tells_how_far_the_stream_is_behind(service: Service) -> None:
    assert service.get("/-/ready").json()["videos"] == 3
    service.post([watch(f"e-{place}") for place in range(5)])
    assert sum(service.get("/-/ready").json()["lag"]) == 8  # with the three published videos
    service.system.stream.catch_up()
    assert service.get("/-/ready").json() == {"ready": True, "videos": 3, "lag": [0, 0, 0, 0], "away": []}


@pytest.mark.parametrize(("part", "method"), [("store", "offsets"), ("log", "end"), ("catalog", "changes")])
def test_a_part_that_is_away_is_named_while_feeds_are_still_answered(service: Service, monkeypatch: pytest.MonkeyPatch, part: str, method: str) -> None:
    monkeypatch.setattr(getattr(service.system, part), method, fails_as(part))
    answer = service.get("/-/ready")
    assert (answer.status, answer.json()["away"]) == (200, [f"the {part} is away"])
    assert service.get("/v1/feed?user_id=ana").status == 200
    monkeypatch.undo()
    assert service.get("/-/ready").json()["away"] == []


def test_a_model_that_waits_for_its_index_is_named(service: Service) -> None:
    towers = service.system.two_tower
    towers._ready = lambda _: False
    version = service.system.artifacts.publish(towers.name, 1.0, lambda folder: None).manifest.version
    towers.refresh()
    assert service.get("/-/ready").json()["away"] == [f"two_tower {version} waits for its index, which `reelrank index` builds"]


def test_without_its_counters_a_machine_is_not_ready(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.system.counters, "read", fails_as("disk"))
    answer = service.get("/-/ready")
    assert (answer.status, answer.json()) == (503, {"error": "not ready: the disk is away"})
    assert service.get("/-/live").status == 200


def test_a_replica_that_ends_soon_is_not_ready_and_answers_everything_for_the_last_time(service: Service) -> None:
    assert "connection" not in service.get("/v1/feed?user_id=ana").headers
    service.system.services.drain()
    answer = service.get("/-/ready")
    assert (answer.status, answer.json()) == (503, {"error": "not ready: this replica ends soon; another one answers"})
    answer = service.get("/v1/feed?user_id=ana")
    assert (answer.status, answer.headers["Connection"]) == (200, "close")


def fails_as(part: str) -> Callable[..., None]:
    def fails(*_: object, **__: object) -> None:
        raise StorageError(f"the {part} is away")

    return fails

"""Live, ready and metrics."""

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
    assert service.get("/-/ready").json() == {"ready": True, "videos": 3, "lag": [0, 0, 0, 0]}


@pytest.mark.parametrize(("part", "method"), [("store", "offsets"), ("log", "end"), ("catalog", "changes")])
def test_a_part_that_is_away_makes_the_service_unready_and_is_named(service: Service, monkeypatch: pytest.MonkeyPatch, part: str, method: str) -> None:
    def fails(*_: object, **__: object) -> None:
        raise StorageError(f"the {part} is away")

    monkeypatch.setattr(getattr(service.system, part), method, fails)
    answer = service.get("/-/ready")
    assert (answer.status, answer.json()) == (503, {"error": f"not ready: the {part} is away"})
    assert service.get("/-/live").status == 200
    monkeypatch.undo()
    assert service.get("/-/ready").status == 200

"""What every answer of the service has in common, and what runs beside it."""

import pytest

from reelrank.domain.video import Video
from reelrank.serving.pages import FOLDER
from serving.running_service import Service, within


@pytest.mark.parametrize("path", ["/", "/-/live", "/nowhere", "/v1/feed", "/page/index.html"])
def test_every_answer_protects_browsers(shared: Service, path: str) -> None:
    headers = shared.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("path", "file"), [("/", "index.html"), ("/docs", "docs.html"), ("/page/index.html", "index.html"), ("/page/favicon.svg", "favicon.svg")]
)
def test_pages_come_with_a_policy_and_are_sent_once(shared: Service, path: str, file: str) -> None:
    answer = shared.get(path)
    assert answer.data == (FOLDER / file).read_bytes()
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    again = shared.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.data) == (304, b"")


def test_an_unknown_path_is_told_where_to_look(shared: Service) -> None:
    answer = shared.get("/v2/feed")
    assert (answer.status, answer.json()) == (404, {"error": "there is nothing at '/v2/feed'; /openapi.json lists what there is"})


def test_a_wrong_method_is_told_the_right_one(shared: Service) -> None:
    answer = shared.get("/v1/events")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert answer.json()["error"] == "'/v1/events' does not take 'GET'; it takes POST"


def test_a_fault_is_answered_as_json_and_tells_no_secrets(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("password: 1234")

    monkeypatch.setattr(service.system.counters, "read", fails)
    answer = service.get("/v1/videos/v-1")
    assert answer.status == 500
    assert "1234" not in answer.json()["error"]
    assert service.get("/-/live").status == 200


def test_a_video_that_another_process_publishes_is_found_by_itself(service: Service) -> None:
    assert service.get("/v1/videos/v-7").status == 404
    service.system.catalog.publish([Video(video_id="v-7", author_id="a", duration_s=8.0, uploaded_at=1.0)])
    within(lambda: service.get("/v1/videos/v-7").status == 200)


def test_what_runs_beside_the_service_goes_on_after_a_failure(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def fails(*_: object) -> list[object]:
        calls.append(1)
        raise OSError("the disk is away")

    monkeypatch.setattr(service.system.catalog, "changes", fails)
    within(lambda: len(calls) >= 2)
    monkeypatch.undo()
    service.system.catalog.publish([Video(video_id="v-8", author_id="a", duration_s=8.0, uploaded_at=1.0)])
    within(lambda: service.get("/v1/videos/v-8").status == 200)

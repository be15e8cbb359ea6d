"""GET /v1/why: a slate explains itself, also long after and after a restart."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelrank.domain.event import Accepted, Impression, Served, ServedVideo, encode_accepted
from reelrank.features.definitions import FEATURES
from reelrank.ranking.served_log import parse_request_id
from reelrank.serving.why_api import find_served
from reelrank.storage.event_log import EVENTS, Record
from reelrank.storage.event_log_embedded import EmbeddedEventLog
from serving.running_service import Service, running, with_videos, within


def served_slate(service: Service) -> dict[str, Any]:
    within(lambda: len(service.get("/v1/feed?user_id=zoe&count=3").json()["videos"]) == 3)
    slate = service.get("/v1/feed?user_id=ana&count=3").json()
    within(lambda: service.get(f"/v1/why/{slate['request_id']}").status == 200)
    return slate


def test_every_place_of_a_slate_is_explained(service: Service) -> None:
    slate = served_slate(service)
    why = service.get(f"/v1/why/{slate['request_id']}").json()
    assert (why["request_id"], why["user_id"], why["policy"], why["served_at"]) == (slate["request_id"], "ana", "reelrank", slate["now"])
    assert why["params"]
    assert all("ms" in figures for figures in why["stages"].values())
    assert [video["video_id"] for video in why["videos"]] == [video["video_id"] for video in slate["videos"]]
    for told, shown in zip(why["videos"], slate["videos"], strict=True):
        assert (told["score"], told["sources"], told["reason"]) == (shown["score"], shown["sources"], shown["reason"])
        assert list(told["features"]) == [feature.name for feature in FEATURES]
        assert told["predictions"]
        assert set(told["parts"]) == {"expected", "fresh", "popular", "taste", "new_to_them", "co_watched"}
        assert sum(told["parts"].values()) == pytest.approx(told["score"], abs=1e-4)
        assert 0 < told["propensity"] <= 1


def test_a_slate_is_still_explained_after_a_restart(tmp_path: Path) -> None:
    told: list[Any] = []
    for service in with_videos(running(tmp_path)):
        request_id = served_slate(service)["request_id"]
        told.append(service.get(f"/v1/why/{request_id}").json())
    for service in running(tmp_path):
        told.append(service.get(f"/v1/why/{told[0]['request_id']}").json())
    assert told[0] == told[1]


def test_a_slate_that_the_log_does_not_hold_is_not_found(shared: Service) -> None:
    answer = shared.get("/v1/why/1-18f00000000-00000000000a")
    assert (answer.status, "ask again in a moment" in answer.json()["error"]) == (404, True)


def test_what_is_no_request_id_is_not_found(shared: Service) -> None:
    for name in ("x", "1-2-3", "ffff-18f00000000-00000000000a", "a" * 10_000, "%F0%9F%98%80", "٣-18f00000000-00000000000a", "%00"):
        answer = shared.get(f"/v1/why/{name}")
        assert answer.status == 404
        assert answer.json()["error"]


def record(event: Served | Impression, at: float) -> Record:
    return Record("u", encode_accepted(Accepted(event, at, at)))


def a_log(folder: Path, times: list[float]) -> EmbeddedEventLog:
    """One partition with a slate and an impression of it at each of `times`, in that order."""
    log = EmbeddedEventLog(folder, partitions=1)
    records: list[Record] = []
    for at in times:
        name = f"0-{int(at * 1000):x}-{int(at):012x}"
        records.append(record(Impression(event_id=f"i-{name}", user_id="u", request_id=name, video_id="v"), at))
        records.append(record(Served(event_id=name, request_id=name, user_id="u", policy="p", videos=(ServedVideo(video_id="v"),)), at))
    log.append(EVENTS, records)
    return log


def test_every_slate_is_found_wherever_it_lies_in_the_log(tmp_path: Path) -> None:
    times = [1_000.0 + 0.5 * place for place in range(0, 8_000, 2)]
    log = a_log(tmp_path, times)
    for at in (times[0], times[1], times[1_999], times[-2], times[-1]):
        name = f"0-{int(at * 1000):x}-{int(at):012x}"
        found = find_served(log, name, *(parse_request_id(name) or (0, 0.0)))
        assert found is not None
        assert isinstance(found.event, Served)
        assert (found.event.request_id, found.received_at) == (name, at)
    log.close()


def test_a_slate_is_found_although_the_clock_was_set_back(tmp_path: Path) -> None:
    log = a_log(tmp_path, [9_000.0 + place for place in range(100)] + [100.0 + place for place in range(100)])
    for at in (9_050.0, 150.0):
        name = f"0-{int(at * 1000):x}-{int(at):012x}"
        assert find_served(log, name, 0, at) is not None
    log.close()


def test_an_answer_is_plain_json(service: Service) -> None:
    why = service.get(f"/v1/why/{served_slate(service)['request_id']}")
    assert why.headers["Content-Type"] == "application/json"
    assert msgspec.json.decode(why.data)

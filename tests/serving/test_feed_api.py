"""GET /v1/feed: slates over HTTP."""

from urllib.parse import quote

import pytest

from reelrank.feed import FeedRequest
from serving.running_service import Service, published, watch, within


def test_somebody_new_gets_a_feed(shared: Service) -> None:
    within(lambda: len(shared.get("/v1/feed?user_id=nobody&count=3").json()["videos"]) == 3)


def test_a_slate_has_all_that_a_player_needs(shared: Service) -> None:
    within(lambda: len(shared.get("/v1/feed?user_id=zoe&count=3").json()["videos"]) == 3)
    answer = shared.get("/v1/feed?user_id=leo&count=3&bandwidth_kbps=4000&place=lisbon&local_hour=9&network=wifi&device=phone&seed=1&exploration=off").json()
    assert (answer["user_id"], answer["degraded"]) == ("leo", [])
    assert [video["position"] for video in answer["videos"]] == [0, 1, 2]
    by_id = {video["video_id"]: video for video in answer["videos"]}
    assert by_id["v-3"]["media_url"] == "/v1/videos/v-3/media?bandwidth_kbps=4000"
    assert (by_id["v-3"]["width"], by_id["v-3"]["height"]) == (720, 1280)
    assert by_id["v-1"]["media_url"] is None
    assert all(video["sources"] and video["reason"] for video in answer["videos"])


def test_parameters_left_empty_count_as_not_given(shared: Service) -> None:
    assert shared.get("/v1/feed?user_id=ana&count=&device=&place=&network=&bandwidth_kbps=&local_hour=&seed=&exploration=").status == 200


def test_an_id_of_any_script_gets_its_feed(shared: Service) -> None:
    name = "👩‍👩‍👧‍👦 \u202bשלום\u202c&=?#/%"
    assert shared.get(f"/v1/feed?user_id={quote(name, safe='')}").json()["user_id"] == name


def test_what_was_liked_and_whom_one_follows_is_marked(service: Service) -> None:
    other = published("v-4", author_id="other")
    like = {"type": "like", "event_id": "l", "user_id": "ana", "video_id": "v-1"}
    follow = {"type": "follow", "event_id": "f", "user_id": "ana", "author_id": "other"}
    assert service.post([other, like, follow]).json()["accepted"] == 3
    service.system.stream.catch_up()

    def marked() -> bool:
        videos = service.get("/v1/feed?user_id=ana&count=4").json()["videos"]
        return {video["video_id"]: (video["liked"], video["following"]) for video in videos} == {
            "v-1": (True, False),
            "v-2": (False, False),
            "v-3": (False, False),
            "v-4": (False, True),
        }

    within(marked)


def test_what_was_watched_is_not_served_again(service: Service) -> None:
    within(lambda: len(service.get("/v1/feed?user_id=zoe&count=3").json()["videos"]) == 3)
    service.post([watch("e-1", "v-2")])
    service.system.stream.catch_up()
    videos = service.get("/v1/feed?user_id=ana&count=3").json()["videos"]
    assert {video["video_id"] for video in videos} == {"v-1", "v-3"}


def test_when_the_feed_fails_the_answer_is_what_is_popular_and_says_so(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_request: FeedRequest, _now: float) -> None:
        raise RuntimeError("no reader today")

    monkeypatch.setattr(service.system.feed, "recommend", fails)
    monkeypatch.setattr(service.system.services, "fallback_rows", lambda asked: [2, 0][: asked.count])
    answer = service.get("/v1/feed?user_id=ana&count=5")
    assert answer.status == 200
    assert answer.json()["degraded"] == ["the feed failed and shows what is popular"]
    assert [video["video_id"] for video in answer.json()["videos"]] == ["v-3", "v-1"]
    assert b"reelrank_feed_failed_total 1.0" in service.get("/metrics").data


def test_a_request_that_is_repeated_gets_the_same_slate_and_is_recorded_once_for_the_folds(service: Service) -> None:
    service.post([published(f"w-{number}") for number in range(60)])
    within(lambda: len(service.get("/v1/feed?user_id=zoe&count=20").json()["videos"]) == 20)
    path, headers = "/v1/feed?user_id=ana&count=5", {"X-Request-Id": "somebody asked this"}
    first = service.get(path, headers=headers).json()
    service.system.feed.flush()
    service.system.stream.catch_up()
    again = service.get(path, headers=headers).json()
    service.system.feed.flush()
    service.system.stream.catch_up()
    assert [video["video_id"] for video in again["videos"]] == [video["video_id"] for video in first["videos"]]
    assert (again["request_id"], again["now"]) == (first["request_id"], first["now"])
    assert len(service.system.reader.user("ana").served_rows) == 5
    other = service.get(path, headers={"X-Request-Id": "this is another one"}).json()
    assert other["request_id"] != first["request_id"]
    assert {video["video_id"] for video in other["videos"]}.isdisjoint(video["video_id"] for video in first["videos"])


def test_what_the_feed_shows_when_it_fails_has_the_name_of_the_request_too(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.system.feed, "recommend", lambda *_: 1 / 0)
    names = {service.get("/v1/feed?user_id=ana", headers={"X-Request-Id": "one"}).json()["request_id"] for _ in range(2)}
    assert len(names) == 1

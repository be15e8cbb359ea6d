"""GET /v1/trending: what trends over HTTP."""

import pytest

from serving.running_service import Service, published, watch, within


def names(service: Service, query: str) -> list[str]:
    return [entry["name"] for entry in service.get(f"/v1/trending?{query}").json()["trending"]]


def test_what_many_watch_trends_everywhere_and_at_their_place(service: Service) -> None:
    service.post([published("v-8", tags=["dogs"], sound_id="song"), published("v-9", tags=["birds"], sound_id="tune")])
    service.post([watch(f"l{number}", "v-8", f"u{number}", watched_s=10, context={"place": "Lima"}) for number in range(20)])
    service.post([watch(f"o{number}", "v-9", f"u{number}", watched_s=10, context={"place": "Oslo"}) for number in range(10)])
    service.system.stream.catch_up()
    within(lambda: names(service, "")[:2] == ["v-8", "v-9"])
    assert names(service, "kind=tags&count=2") == ["dogs", "birds"]
    assert names(service, "kind=sounds") == ["song", "tune"]
    assert names(service, "place=Oslo") == ["v-9"]
    assert names(service, "kind=tags&place=Oslo") == ["birds"]
    assert names(service, "kind=sounds&place=Lima") == ["song"]
    assert names(service, "place=Atlantis") == []
    first = service.get("/v1/trending?count=1").json()["trending"]
    assert first[0]["velocity"] > 2
    assert len(first) == 1
    service.post([{"type": "video_removed", "event_id": "r", "video_id": "v-8"}])
    within(lambda: "v-8" not in names(service, ""))


def test_what_rules_take_away_does_not_trend(service: Service) -> None:
    for number, (video, tag, region) in enumerate([("v-8", "dogs", {}), ("v-9", "birds", {}), ("v-10", "fish", {"not_in": ["PT"]})]):
        service.post([published(video, tags=[tag], sound_id=f"s-{video}", **region)])
        service.post([watch(f"{video} {viewer}", video, f"u{viewer}", watched_s=10) for viewer in range(20 - 5 * number)])
    service.system.stream.catch_up()
    within(lambda: names(service, "region=ES")[:3] == ["v-8", "v-9", "v-10"])
    assert names(service, "region=PT")[:2] == ["v-8", "v-9"]
    assert "v-10" not in names(service, "region=PT") + names(service, "")

    def rule(**draft: str) -> str:
        made = service.http.request("POST", f"{service.server.url}/v1/rules", json=draft)
        assert made.status == 201, made.data
        return made.json()["rule_id"]

    rule(action="hide", target="video", name="v-8", region="PT")
    assert names(service, "region=PT")[0] == "v-9"
    assert names(service, "")[0] == "v-8"
    muted = rule(action="mute", target="tag", name="birds")
    assert names(service, "")[:1] == ["v-8"]
    assert "v-9" not in names(service, "")
    assert names(service, "kind=tags&count=2") == ["dogs", "fish"]
    rule(action="mute", target="sound", name="s-v-8")
    assert names(service, "kind=sounds&count=1") == ["s-v-9"]
    assert "v-8" not in names(service, "")
    rule(action="expire", target="video", name="v-10")
    assert "v-10" not in names(service, "region=ES")
    service.http.request("DELETE", f"{service.server.url}/v1/rules/{muted}")
    assert names(service, "")[0] == "v-9"


def test_where_nothing_happened_nothing_trends(service: Service) -> None:
    answer = service.get("/v1/trending?kind=sounds&place=&count=").json()
    assert (answer["kind"], answer["place"], answer["trending"]) == ("sounds", "", [])


@pytest.mark.parametrize(
    "query",
    [
        "kind=users",
        "kind=Videos",
        "count=0",
        "count=201",
        "count=-1",
        "count=ten",
        "count=1&count=2",
        "limit=5",
        "region=Lisbon",
        "place=%00",
        "place=%ff",
        f"place={'x' * 65}",
    ],
)
def test_an_odd_question_is_refused_with_a_reason(shared: Service, query: str) -> None:
    answer = shared.get(f"/v1/trending?{query}")
    assert answer.status == 400
    assert len(answer.json()["error"]) > 10

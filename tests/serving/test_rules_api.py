"""Business rules over HTTP: made, changed, removed, followed at once, and on record."""

import time
from typing import Any

import msgspec
import pytest
import urllib3

from reelrank.storage.event_log import StorageError
from serving.running_service import Service, within

HIDE = {"action": "hide", "target": "video", "name": "v-2"}


def asked(service: Service, method: str, path: str, body: Any = None, **headers: str) -> urllib3.BaseHTTPResponse:
    raw = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
    return service.http.request(method, service.server.url + path, body=raw, headers={"Content-Type": "application/json"} | headers)


def shown(service: Service, user: str, query: str = "") -> set[str]:
    return {video["video_id"] for video in service.get(f"/v1/feed?user_id={user}{query}").json()["videos"]}


def test_a_rule_is_followed_by_the_next_request_and_no_more_once_it_is_removed(service: Service) -> None:
    made = asked(service, "POST", "/v1/rules", HIDE | {"note": "spam"})
    assert made.status == 201
    rule = made.json()
    assert (rule["name"], rule["note"], rule["made_by"]) == ("v-2", "spam", "somebody on this machine")
    assert shown(service, "one") == {"v-1", "v-3"}
    assert service.get("/v1/rules").json()["rules"] == [rule]
    changed = asked(service, "PUT", f"/v1/rules/{rule['rule_id']}", HIDE | {"name": "v-1"}).json()
    assert shown(service, "two") == {"v-2", "v-3"}
    assert asked(service, "DELETE", f"/v1/rules/{rule['rule_id']}").json() == changed
    assert shown(service, "three") == {"v-1", "v-2", "v-3"}
    changes = service.get("/v1/rules/audit?count=2").json()["changes"]
    assert [(change["number"], change["before"], change["after"]) for change in changes] == [(3, changed, None), (2, rule, changed)]


def test_a_rule_that_another_process_makes_is_followed_within_a_second(service: Service) -> None:
    from reelrank.domain.rule import RuleDraft

    began = time.monotonic()
    service.system.rules.add(RuleDraft(action="mute", target="tag", name="cats", region="PT"), "another", began)
    within(lambda: not shown(service, f"u{time.monotonic_ns()}", "&region=pt"), 1.0)
    assert shown(service, "elsewhere", "&region=US") == {"v-1", "v-2", "v-3"}


def test_who_makes_a_rule_is_told_so_even_if_this_process_cant_follow_it_yet(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise StorageError("the database is away")

    monkeypatch.setattr(service.system.feed.rules, "refresh", away)
    assert asked(service, "POST", "/v1/rules", HIDE).status == 201
    monkeypatch.undo()
    within(lambda: shown(service, f"u{time.monotonic_ns()}") == {"v-1", "v-3"}, 2.0)
    assert len(service.get("/v1/rules").json()["rules"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "/v1/rules", b"{", 400, "the body is no rule"),
        ("POST", "/v1/rules", {"action": "dance", "target": "video", "name": "v"}, 400, "action is 'dance'"),
        ("POST", "/v1/rules", {"action": "pin", "target": "tag", "name": "v"}, 400, "it takes video"),
        ("POST", "/v1/rules", HIDE | {"until": 5}, 400, "until"),
        ("POST", "/v1/rules", HIDE | {"note": "x" * 20_000}, 413, "more than 10,000 bytes"),
        ("POST", "/v1/rules?dry=1", HIDE, 400, "there is no parameter 'dry'"),
        ("PUT", "/v1/rules/r-1", HIDE, 404, "there is no rule 'r-1'"),
        ("DELETE", "/v1/rules/r-1", None, 404, "there is no rule 'r-1'"),
        ("GET", "/v1/rules/audit?count=0", None, 400, "count"),
    ],
)
def test_what_can_not_be_done_is_told(shared: Service, method: str, path: str, body: Any, status: int, error: str) -> None:
    answered = asked(shared, method, path, body)
    assert (answered.status, error in answered.json()["error"]) == (status, True), answered.data


def test_another_sites_page_changes_no_rule(shared: Service) -> None:
    assert asked(shared, "POST", "/v1/rules", HIDE, **{"Sec-Fetch-Site": "cross-site"}).status == 403
    assert asked(shared, "DELETE", "/v1/rules/r-1", **{"Sec-Fetch-Site": "cross-site"}).status == 403

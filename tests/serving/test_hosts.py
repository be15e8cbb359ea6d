"""Names that lead to a service that asks for no key."""

from pathlib import Path

import pytest

from serving.running_service import Service, running, watch

EVERYWHERE = ["/", "/v1/feed?user_id=ana", "/v1/videos/v-1", "/v1/trending", "/metrics", "/openapi.json", "/-/live"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.8.9.1", "[::1]", "[::1]:8000"])
def test_this_machines_own_names_lead_here(shared: Service, host: str) -> None:
    assert shared.get("/v1/feed?user_id=ana", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0:8000", "10.0.0.5", "[2001:db8::1]:80", ""]
)
def test_any_other_name_is_turned_away_and_told_what_to_configure(shared: Service, host: str) -> None:
    for path in EVERYWHERE:
        answer = shared.get(path, headers={"Host": host})
        assert answer.status == 421
        assert "serving.hosts" in answer.json()["error"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert shared.post([watch("rebound")], Host=host).status == 421
    assert "rebound" not in shared.stored_ids()


def test_the_name_that_is_turned_away_is_named(shared: Service) -> None:
    assert "'evil.example' is no name of this machine" in shared.get("/", headers={"Host": "Evil.Example:8000"}).json()["error"]


def test_configured_names_lead_here_and_others_still_do_not(tmp_path: Path) -> None:
    for service in running(tmp_path, hosts="feed.test, My-Laptop"):
        assert [service.get("/-/live", headers={"Host": host}).status for host in ("feed.test", "my-laptop:9000", "localhost", "evil.test")] == [
            200,
            200,
            200,
            421,
        ]


@pytest.mark.parametrize("serving", [{"auth": "on"}, {"auth": "off", "host": "0.0.0.0"}])
def test_where_a_key_is_asked_for_or_others_may_come_any_name_leads_here(tmp_path: Path, serving: dict[str, str]) -> None:
    for service in running(tmp_path, **serving):
        assert service.get("/-/live", headers={"Host": "feed.example"}).status == 200

"""Keys at the door of a real service."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import urllib3

from reelrank.benchmarks.local_postgresql import LocalPostgresql
from reelrank.benchmarks.local_server import ServerMissing
from reelrank.config import ConfigError, Settings
from reelrank.feed import FeedRequest
from reelrank.serving.auth import is_loopback
from reelrank.simulation.client import FeedClient, FeedError
from reelrank.storage.event_log import StorageError
from reelrank.wiring import open_reelrank
from serving.running_service import Service, published, running, watch, within

ALL = {
    "/v1/feed?user_id=ana": "feed:read",
    "/v1/videos/v-3": "feed:read",
    "/v1/why/0-0-000000000000": "feed:read",
    "/v1/controls?user_id=ana": "feed:read",
    "/v1/rules": "rules:write",
    "/metrics": "admin",
}
OPEN = ["/-/live", "/-/ready", "/", "/docs", "/openapi.json", "/page/app.js"]


def key(service: Service, *scopes: str) -> dict[str, str]:
    """The headers of somebody with a key for `scopes`."""
    _, secret = service.system.keys.create("test", scopes, time.time())
    return {"Authorization": f"Bearer {secret}"}


def started(folder: Path, **settings: Any) -> Iterator[Service]:
    media = folder / "media"
    media.mkdir(exist_ok=True)
    (media / "clip.mp4").write_bytes(bytes(range(256)) * 40)
    for service in running(folder / "data", media, auth="on", **settings):
        rendition = {"url": "clip.mp4", "bitrate_kbps": 800, "width": 720, "height": 1280}
        videos = [published("v-1"), published("v-2"), published("v-3", renditions=[rendition])]
        assert service.post(videos, **key(service, "admin")).status == 202
        yield service


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service that asks for keys, for all tests that don't mind the others."""
    yield from started(tmp_path_factory.mktemp("guarded"))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    yield from started(tmp_path)


def refused(service: Service, reason: str) -> float:
    text = service.get("/metrics", headers=key(service, "admin")).data.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f'reelrank_unauthorized_total{{reason="{reason}"}}'))


@pytest.mark.parametrize("path", ALL)
def test_without_a_key_nobody_gets_in(shared: Service, path: str) -> None:
    before = refused(shared, "missing")
    answer = shared.get(path)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="reelrank"'
    assert "a key is missing; send it as `Authorization: Bearer KEY`" in answer.json()["error"]
    assert refused(shared, "missing") == before + 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer rl_0_guessed"},
        {"Authorization": "bearer  x"},
        {"X-API-Key": "é".encode("latin-1").decode("latin-1")},
        {"Authorization": "Bearer rl_" + "x" * 200},
    ],
)
def test_what_is_no_key_does_not_get_in(shared: Service, headers: dict[str, str]) -> None:
    for _ in range(2):
        answer = shared.get("/v1/feed?user_id=ana", headers=headers)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="reelrank", error="invalid_token"')
        assert answer.json()["error"].startswith("this is no key, or it was revoked")


@pytest.mark.parametrize("headers", [{"Authorization": "Basic cmw6"}, {"Authorization": "Bearer"}, {"X-API-Key": ""}, {"X-API-Key": "x" * 300}])
def test_what_can_be_no_key_counts_as_none(shared: Service, headers: dict[str, str]) -> None:
    answer = shared.get("/v1/feed?user_id=ana", headers=headers)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="reelrank"')


@pytest.mark.parametrize(("path", "scope"), ALL.items())
def test_each_door_opens_for_its_scope_and_for_admins(shared: Service, path: str, scope: str) -> None:
    others = [one for one in ("events:write", "feed:read", "videos:write", "events:import") if one != scope]
    answer = shared.get(path, headers=key(shared, *others))
    assert answer.status == 403
    assert f"lacks the scope {scope}; it has " in answer.json()["error"]
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="reelrank", error="insufficient_scope", scope="{scope}"'
    good = {404} if "why" in path else {200}
    assert {shared.get(path, headers=key(shared, scope)).status, shared.get(path, headers=key(shared, "admin")).status} == good


@pytest.mark.parametrize("path", OPEN)
def test_health_the_page_and_the_description_are_open(shared: Service, path: str) -> None:
    assert shared.get(path).status == 200


def test_the_header_of_other_tools_does_as_well(shared: Service) -> None:
    secret = key(shared, "feed:read")["Authorization"].split()[1]
    assert shared.get("/v1/feed?user_id=ana", headers={"X-API-Key": secret}).status == 200
    assert shared.get("/v1/feed?user_id=ana", headers={"Authorization": "Basic cmw6", "X-API-Key": secret}).status == 200


def test_an_app_tells_what_people_did_with_their_slate_and_nothing_else(shared: Service) -> None:
    app = key(shared, "events:write", "feed:read")
    slate = shared.get("/v1/feed?user_id=ana", headers=app).json()
    of_bob = shared.get("/v1/feed?user_id=bob", headers=app).json()["request_id"]
    assert len(slate["request_id"]) <= 64
    answer = shared.post(
        [
            watch("good", request_id=slate["request_id"]),
            watch("none"),
            watch("of bob", request_id=of_bob),
            published("v-9"),
            {"type": "served", "event_id": "own", "user_id": "ana", "policy": "mine", "videos": [{"video_id": "v-1"}]},
        ],
        **app,
    )
    told = answer.json()
    assert (answer.status, told["accepted"]) == (202, 1)
    assert [one["event_id"] for one in told["refused"]] == ["none", "of bob", "publish v-9", "own"]
    within(lambda: shared.get(f"/v1/why/{slate['request_id']}", headers=app).status == 200)
    counted = shared.get("/metrics", headers=key(shared, "admin")).data.decode()
    assert 'reelrank_events_refused_total{reason="slate"} 2.0' in counted
    assert 'reelrank_events_refused_total{reason="scope"} 2.0' in counted


def test_who_may_bring_in_and_publish_does(shared: Service) -> None:
    answer = shared.post([watch("elsewhere", user_id="eve"), published("v-8")], **key(shared, "events:write", "events:import", "videos:write"))
    assert (answer.status, answer.json()["refused"]) == (202, [])
    assert {one.event.event_id: one.imported for one in shared.stored() if one.event.event_id in {"elsewhere", "publish v-8"}} == {
        "elsewhere": True,
        "publish v-8": False,
    }


def test_events_are_not_even_read_without_the_scope(shared: Service) -> None:
    assert shared.post([watch("e")]).status == 401
    assert shared.post(b"not even JSON", **key(shared, "feed:read", "videos:write", "events:import")).status == 403
    assert shared.post(b"not even JSON", **key(shared, "events:write")).status == 400


def test_a_file_is_fetched_by_its_signed_address_alone(shared: Service) -> None:
    app = key(shared, "feed:read")
    addresses = {video["video_id"]: video["media_url"] for video in shared.get("/v1/feed?user_id=player&bandwidth_kbps=500", headers=app).json()["videos"]}
    signed = addresses["v-3"]
    assert shared.get(signed).data == bytes(range(256)) * 40
    assert shared.get(signed, headers={"Range": "bytes=0-3"}).status == 206
    assert shared.get(shared.get("/v1/videos/v-3", headers=app).json()["media_url"]).status == 200
    plain, _, query = signed.partition("?")
    for bad in (plain, f"{plain}?{query[:-1]}{'0' if query[-1] != '0' else '1'}", f"/v1/videos/v-1/media?{query}", signed.replace("until=", "until=1")):
        answer = shared.get(bad, headers=app)
        assert answer.status == 403, bad
        assert "take media_url from the answer of /v1/feed" in answer.json()["error"]


def test_a_signed_address_comes_to_an_end(shared: Service) -> None:
    signer = shared.system.services.media_signer
    assert signer is not None
    signer.check("v-3", 4_000_000_000, signer._sign("v-3", 4_000_000_000))
    with pytest.raises(Exception, match="this address is too old; take a new media_url"):
        signer.check("v-3", 1_000, signer._sign("v-3", 1_000))
    first, second = (signer.signed("v-3", "/m") for _ in range(2))
    assert first == second  # browsers may keep the file


def test_the_description_says_what_takes_which_key(shared: Service) -> None:
    told = shared.get("/openapi.json").json()
    assert set(told["components"]["securitySchemes"]) == {"bearer", "header"}
    assert told["paths"]["/v1/events"]["post"]["security"] == [{"bearer": ["events:write"]}, {"header": ["events:write"]}]
    assert {"401", "403", "503"} <= set(told["paths"]["/v1/feed"]["get"]["responses"])
    assert "security" not in told["paths"]["/-/live"]["get"]


def test_a_client_takes_a_key(shared: Service) -> None:
    secret = key(shared, "feed:read", "events:write")["Authorization"].split()[1]
    with FeedClient(shared.server.url, api_key=secret) as client:
        slate = client.feed("cleo")
        assert client.post_events([msgspec.convert(watch("w", user_id="cleo", request_id=slate["request_id"]), Any)])["accepted"] == 1
        assert client.knows("v-1")
    with FeedClient(shared.server.url) as nobody, pytest.raises(FeedError, match="answered 401: a key is missing"):
        nobody.feed("cleo")


def test_a_revoked_key_is_at_an_end_within_five_seconds(service: Service) -> None:
    keys = service.system.keys
    made, secret = keys.create("app", ["feed:read"], time.time())
    _, other = keys.create("other", ["feed:read"], time.time())

    def status(one: str) -> int:
        return service.get("/v1/feed?user_id=ana", headers={"Authorization": f"Bearer {one}"}).status

    assert [status(secret), status(other)] == [200, 200]
    keys.revoke(made.key_id, time.time())
    within(lambda: status(secret) == 401, 5.0)
    assert status(other) == 200


def test_that_a_key_was_used_is_remembered(service: Service) -> None:
    authenticator = service.system.services.authenticator
    assert authenticator is not None
    assert service.get("/v1/feed?user_id=ana", headers=key(service, "feed:read")).status == 200
    authenticator._told_used_at -= 61
    within(lambda: service.system.keys.all()[-1].used_at is not None, 5.0)


def test_many_requests_with_an_unknown_key_do_not_add_up(service: Service) -> None:
    began = time.monotonic()
    for _ in range(300):
        assert service.get("/v1/feed?user_id=ana", headers={"Authorization": "Bearer rl_x_wrong"}).status == 401
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("host", "auth", "guarded"),
    [
        ("127.0.0.1", "auto", False),
        ("127.8.9.1", "auto", False),
        ("::1", "auto", False),
        ("localhost", "auto", False),
        ("0.0.0.0", "auto", True),
        ("::", "auto", True),
        ("10.0.0.5", "auto", True),
        ("feed.example", "auto", True),
        ("127.0.0.1", "on", True),
        ("0.0.0.0", "off", False),
    ],
)
def test_keys_are_asked_for_where_others_can_reach_the_service(host: str, auth: str, guarded: bool) -> None:
    assert msgspec.convert({"serving": {"host": host, "auth": auth}}, Settings).serving.guarded is guarded
    assert is_loopback(host) is (host.startswith("127.") or host in {"::1", "localhost"})


def test_with_auth_off_everything_is_open_and_what_no_slate_vouches_for_is_marked(tmp_path: Path) -> None:
    for service in running(tmp_path, auth="off"):
        assert service.post([published("v-1"), watch("bare")]).status == 202
        slate = service.get("/v1/feed?user_id=ana").json()["request_id"]
        assert service.post([watch("vouched", request_id=slate), watch("forged", request_id=slate[:-1])]).status == 202
        within(lambda service=service: len(service.stored()) == 5)
        marks = {one.event.event_id: one.imported for one in service.stored() if one.event.event_id != slate}
        assert marks == {"publish v-1": False, "bare": True, "vouched": False, "forged": True}


def test_replicas_vouch_for_each_others_slates_and_a_configured_secret_goes_before_the_kept_one(tmp_path: Path) -> None:
    def names_and_vouches(**serving: Any) -> tuple[str, Any]:
        system = open_reelrank(msgspec.convert({"data_dir": str(tmp_path), "serving": serving}, Settings))
        try:
            return system.feed.name_slate(FeedRequest(user_id="ana"), 1_750_000_000.0), system.collector._slates.vouches
        finally:
            system.close()

    kept, _ = names_and_vouches()
    again, vouches = names_and_vouches()
    assert vouches("ana", kept) and vouches("ana", again) and kept != again
    configured, own = names_and_vouches(secret="s" * 32)
    assert own("ana", configured) and not own("ana", kept) and not vouches("ana", configured)
    with pytest.raises(ConfigError, match=r"serving\.secret has 5 characters; give it 32 random ones or more"):
        names_and_vouches(secret="short")


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[LocalPostgresql]:
    try:
        server = LocalPostgresql(tmp_path / "postgresql")
    except ServerMissing as problem:
        pytest.fail(str(problem)) if os.environ.get("CI") == "true" else pytest.skip(str(problem))
    with server:
        yield server


def test_while_the_database_is_away_known_keys_get_in_and_others_are_told_to_come_back(postgresql: LocalPostgresql, tmp_path: Path) -> None:
    settings = msgspec.convert({"data_dir": str(tmp_path / "data"), "storage": {"catalog": postgresql.url}}, Settings)
    for service in running(tmp_path / "data", auth="on", storage=settings.storage):
        known, waiting = key(service, "admin"), key(service, "feed:read")
        assert service.post([published("v-1")], **known).status == 202
        postgresql.stop()
        with pytest.raises(StorageError, match="is away"):
            service.system.keys.all()
        until = time.monotonic() + 5  # the keys in use are looked up in vain, several times
        while time.monotonic() < until:
            assert service.get("/v1/feed?user_id=ana", headers=known).status == 200
            time.sleep(0.2)
        stranger = service.get("/v1/feed?user_id=ana", headers=waiting)
        assert (stranger.status, stranger.headers["Retry-After"]) == (503, "2")
        assert "can't be checked just now" in stranger.json()["error"]
        postgresql.start()
        within(lambda service=service, waiting=waiting: service.get("/v1/feed?user_id=ana", headers=waiting).status == 200, 5.0)


@pytest.fixture(scope="module")
def page(shared: Service) -> Iterator[Any]:
    """A page in the system's Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        missing = "no Chromium on the PATH; apt-get install chromium"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def test_the_page_asks_for_a_key_and_goes_on_with_it(shared: Service, page: Any) -> None:
    secret = key(shared, "feed:read", "events:write")["Authorization"].split()[1]
    tab = page.new_context().new_page()
    tab.goto(f"{shared.server.url}/?user=page-1")
    tab.wait_for_selector("#key", timeout=15_000)
    tab.fill("#key", "wrong")
    tab.click(".access-form button")
    tab.wait_for_selector(".tail button, .state button", timeout=15_000)
    tab.click(".tail button, .state button")
    tab.wait_for_selector("#key", timeout=15_000)
    tab.fill("#key", secret)
    tab.click(".access-form button")
    tab.wait_for_selector(".slide[data-video]", timeout=15_000)
    assert secret not in tab.url
    within(lambda: any(one.event.key == "page-1" and type(one.event).__name__ == "Impression" and not one.imported for one in shared.stored()), 15.0)
    tab.reload()
    tab.wait_for_selector(".slide[data-video]", timeout=15_000)
    tab.close()


def test_a_key_in_the_address_opens_the_page_and_is_taken_out_of_it(shared: Service, page: Any) -> None:
    secret = key(shared, "feed:read", "events:write")["Authorization"].split()[1]
    tab = page.new_context().new_page()
    files: list[int] = []
    tab.on("response", lambda response: files.append(response.status) if "/media?" in response.url else None)
    tab.goto(f"{shared.server.url}/?user=page-2#key={secret}")
    tab.wait_for_selector(".slide[data-video]", timeout=15_000)
    assert tab.url == f"{shared.server.url}/?user=page-2"
    until = time.monotonic() + 15
    while not files and time.monotonic() < until:
        tab.wait_for_timeout(50)
    assert set(files) <= {200, 206} and files  # the player has fetched a file, without a header
    tab.wait_for_timeout(1_500)  # a video that was not looked at is left without a word
    tab.goto("about:blank")  # the farewell carries the key
    within(lambda: any(one.event.key == "page-2" and type(one.event).__name__ in {"Watch", "Skip"} for one in shared.stored()), 15.0)
    tab.close()


def test_a_service_that_asks_for_keys_can_be_asked_by_several_at_once(shared: Service) -> None:
    secret = key(shared, "feed:read")
    with urllib3.PoolManager(maxsize=8) as http:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(8) as threads:
            statuses = set(threads.map(lambda _: http.request("GET", shared.server.url + "/v1/videos/v-1", headers=secret).status, range(100)))
    assert statuses == {200}

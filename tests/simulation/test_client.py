"""The client against a small real HTTP server."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from reelrank.domain.event import Like
from reelrank.simulation.client import MAX_BATCH, FeedClient, FeedError


class _Service(ThreadingHTTPServer):
    """A small HTTP server that answers as it was told and remembers what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, bytes]] = []
        self.received: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        assert isinstance(self.server, _Service)
        self.server.received.append((self.command, self.path, dict(self.headers), body))
        status, answer = self.server.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def service() -> Iterator[_Service]:
    with _Service() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(service: _Service) -> Iterator[FeedClient]:
    with FeedClient(service.url, timeout_s=5) as made:
        yield made


def _likes(count: int) -> list[Like]:
    return [Like(event_id=f"e{number}", user_id="ines", video_id="v1") for number in range(count)]


def test_a_feed_is_asked_for_with_its_context(service: _Service, client: FeedClient):
    service.answers = [(200, b'{"request_id": "r1", "videos": []}')]
    assert client.feed("zoë & co", 5, place="São Paulo", seed=3, network=None)["request_id"] == "r1"
    assert service.received[0][1] == "/v1/feed?user_id=zo%C3%AB+%26+co&count=5&place=S%C3%A3o+Paulo&seed=3"


def test_events_are_posted_in_batches_and_the_answers_added_up(service: _Service, client: FeedClient):
    service.answers = [
        (202, b'{"accepted": 1000, "repeated": 2, "refused": [], "offsets": {"0": 700, "1": 300}}'),
        (202, b'{"accepted": 4, "repeated": 0, "refused": [{"index": 1, "event_id": "e1001", "reason": "no"}], "offsets": {"0": 704}}'),
    ]
    assert client.post_events(_likes(MAX_BATCH + 5)) == {
        "accepted": 1004, "repeated": 2, "refused": [{"index": 1001, "event_id": "e1001", "reason": "no"}],
        "offsets": {"0": 704, "1": 300},
    }  # fmt: skip
    (_, _, headers, large), (_, _, _, small) = service.received
    assert headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(large))) == MAX_BATCH
    assert json.loads(small)[4] == {"type": "like", "event_id": "e1004", "user_id": "ines", "video_id": "v1"}


def test_no_events_are_no_request(service: _Service, client: FeedClient):
    assert client.post_events([]) == {"accepted": 0, "repeated": 0, "refused": [], "offsets": {}}
    assert not service.received


def test_a_busy_service_gets_the_same_events_again(service: _Service, client: FeedClient):
    service.answers = [(429, b'{"error": "busy"}'), (503, b'{"error": "busy"}'), (202, b'{"accepted": 3, "repeated": 0, "refused": []}')]
    assert client.post_events(_likes(3))["accepted"] == 3
    assert len({body for _, _, _, body in service.received}) == 1
    assert len(service.received) == 3


def test_a_refusal_tells_the_reason_and_is_not_repeated(service: _Service, client: FeedClient):
    service.answers = [(400, b'{"error": "count is 0; ask for 1 to 50 videos"}')]
    with pytest.raises(FeedError, match="400: count is 0; ask for 1 to 50 videos") as caught:
        client.feed("ines", 0)
    assert caught.value.status == 400
    assert len(service.received) == 1


def test_an_answer_that_is_no_json_is_named(service: _Service, client: FeedClient):
    service.answers = [(200, b"<html>")]
    with pytest.raises(FeedError, match="no JSON; is that a Reelrank"):
        client.video("a/b")
    assert service.received[0][1] == "/v1/videos/a%2Fb"


def test_a_service_that_is_not_there_is_named_with_the_way_out(service: _Service):
    service.server_close()
    service.socket.close()
    with FeedClient("http://127.0.0.1:9", retries=0, timeout_s=1) as client:
        assert not client.ready()
        with pytest.raises(FeedError, match="is `reelrank serve` running there"):
            client.why("r1")
        with pytest.raises(FeedError, match=r"not ready within 0\.1 s"):
            client.wait_ready(0.1)


def test_waiting_ends_when_the_service_is_ready(service: _Service, client: FeedClient):
    service.answers = [(503, b"{}"), (503, b"{}"), (200, b"{}")]
    client.wait_ready(5)
    assert [path for _, path, _, _ in service.received] == ["/-/ready"] * 3

"""Starting and stopping the server."""

import socket
import threading
from pathlib import Path

import pytest
import urllib3
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from reelrank.serving.server import PortTaken, Server, listen
from serving.running_service import running, watch, with_videos


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"127\.0\.0\.1:{port}: .*in use; .*REELRANK_SERVING__PORT"):
            listen("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(PortTaken, match=r"203\.0\.113\.7:8000"):
        listen("203.0.113.7", 8000)


def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(PortTaken, match="no-such-host"):
        listen("no-such-host.invalid", 8000)


def test_requests_under_way_are_finished_before_the_server_ends() -> None:
    under_way, go_on = threading.Event(), threading.Event()

    def slow(_request: Request) -> PlainTextResponse:
        under_way.set()
        go_on.wait(10)
        return PlainTextResponse("finished")

    there = threading.Event()
    server = Server(Starlette(routes=[Route("/", slow)]), port=0, ready=lambda _url: there.set())
    thread = threading.Thread(target=server.serve_until_stopped)
    thread.start()
    assert there.wait(10)
    answers: list[bytes] = []
    client = threading.Thread(target=lambda: answers.append(urllib3.request("GET", server.url, retries=False).data))
    client.start()
    assert under_way.wait(10)
    server.stop()
    go_on.set()
    client.join(10)
    thread.join(10)
    assert answers == [b"finished"]
    assert not thread.is_alive()


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    for service in with_videos(running(tmp_path)):
        assert service.post([watch("e-1")]).status == 202
    for service in running(tmp_path):
        assert "e-1" in service.stored_ids()
        assert service.get("/v1/videos/v-1").status == 200

"""Starting and stopping the server."""

import asyncio
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
import urllib3
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from reelrank.serving.admission import Connections
from reelrank.serving.server import PortTaken, Server, _OnePiece, listen
from serving.running_service import Service, running, watch, with_videos, within


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


@pytest.mark.parametrize("signals", [1, 2])
def test_a_server_that_is_told_to_end_answers_for_a_while_longer_unless_it_is_told_twice(signals: int) -> None:
    there, told = threading.Event(), threading.Event()
    app = Starlette(routes=[Route("/", lambda _request: PlainTextResponse("still here"))])
    server = Server(app, port=0, ready=lambda _url: there.set(), drain_s=60.0 if signals == 2 else 0.6, drain=told.set)
    thread = threading.Thread(target=server.serve_until_stopped)
    thread.start()
    assert there.wait(10)
    server.handle_exit(signal.SIGTERM, None)
    assert told.is_set()
    assert urllib3.request("GET", server.url, retries=False).data == b"still here"
    if signals == 2:
        server.handle_exit(signal.SIGTERM, None)
    thread.join(20)
    assert not thread.is_alive()


class _Wire:
    """Notes each write, as each is a call of the kernel that a kill may come before."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.written.append(b"closed")


def test_an_answer_is_written_in_one_piece_and_a_head_without_more_does_not_wait() -> None:
    wire = _Wire()

    async def answer() -> None:
        piece = _OnePiece(wire, asyncio.get_running_loop())  # pyright: ignore[reportArgumentType]
        piece.write(b"HTTP/1.1 200 OK\r\n\r\n")
        piece.write(b"body")
        piece.write(b"more")
        piece.write(b"HTTP/1.1 304 Not Modified\r\n\r\n")
        await asyncio.sleep(0.01)
        piece.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        piece.close()

    asyncio.run(answer())
    assert wire.written == [b"HTTP/1.1 200 OK\r\n\r\nbody", b"more", b"HTTP/1.1 304 Not Modified\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"closed"]


def connected(service: Service) -> socket.socket:
    host, port = service.server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def wait_until_open(service: Service, connections: int) -> None:
    within(lambda: service.system.services.connections.open == connections)


def wait_until_given_up(service: Service, connections: int) -> None:
    within(lambda: service.system.services.connections.given_up == connections)


def everything(wire: socket.socket) -> bytes:
    """What comes until the server closes."""
    answer = b""
    while part := wire.recv(65_536):
        answer += part
    return answer


def test_headers_that_are_slow_are_given_up_and_those_of_others_are_not(tmp_path: Path) -> None:
    for service in running(tmp_path, head_timeout_s=0.5):
        with connected(service) as slow, connected(service) as silent:
            slow.sendall(b"GET /-/live HTTP/1.1\r\nHost:")
            assert service.get("/-/live").status == 200
            answer = everything(slow)
            assert everything(silent) == b""
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"within 0.5 s" in answer
        wait_until_given_up(service, 2)


def test_a_second_request_may_be_no_slower_than_the_first(tmp_path: Path) -> None:
    for service in running(tmp_path, head_timeout_s=0.5):
        with connected(service) as wire:
            wire.sendall(b"GET /-/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert wire.recv(65_536).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.8)  # between two requests a connection may rest
            wire.sendall(b"GET /-/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert wire.recv(65_536).startswith(b"HTTP/1.1 200 ")
            wire.sendall(b"GET /-/l")
            assert everything(wire).startswith(b"HTTP/1.1 408 ")


def test_the_rest_of_a_body_that_nobody_wants_may_not_take_for_ever(tmp_path: Path) -> None:
    for service in running(tmp_path, body_timeout_s=0.5):
        with connected(service) as wire:
            wire.sendall(b"POST /-/live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
            answer = everything(wire)
        assert answer.startswith(b"HTTP/1.1 405 ")


def test_one_connection_too_many_is_told_so_and_the_others_go_on(tmp_path: Path) -> None:
    for service in running(tmp_path, max_connections=3):
        service.http.clear()
        wait_until_open(service, 0)
        wires = [connected(service) for _ in range(3)]
        wait_until_open(service, 3)
        with connected(service) as fourth:
            answer = everything(fourth)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer
        wires[0].sendall(b"GET /-/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert wires[0].recv(65_536).startswith(b"HTTP/1.1 200 ")
        for wire in wires:
            wire.close()
        wait_until_open(service, 0)
        assert service.get("/-/live").status == 200
        assert service.system.services.connections.refused == 1


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    for service in with_videos(running(tmp_path)):
        assert service.post([watch("e-1")]).status == 202
    for service in running(tmp_path):
        assert "e-1" in service.stored_ids()
        assert service.get("/v1/videos/v-1").status == 200


def test_a_client_that_takes_nothing_of_its_answers_loses_its_place() -> None:
    there, bounds = threading.Event(), Connections(take_within_s=0.3)
    app = Starlette(routes=[Route("/", lambda _request: PlainTextResponse("x" * 20_000_000))])
    server = Server(app, port=0, ready=lambda _url: there.set(), connections=bounds)
    thread = threading.Thread(target=server.serve_until_stopped)
    thread.start()
    try:
        assert there.wait(10)
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            deadline = time.monotonic() + 10
            while bounds.given_up == 0 and time.monotonic() < deadline:
                time.sleep(0.05)
            assert (bounds.given_up, bounds.open) == (1, 0)
        assert len(urllib3.request("GET", server.url, retries=False).data) == 20_000_000
    finally:
        server.stop()
        thread.join(10)

"""Runs the application on a port until it is told to stop."""

import asyncio
import gc
import logging
import math
import signal
import socket
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reelrank.serving.admission import Connections
from reelrank.serving.answers import ErrorAnswer, encode

logger = logging.getLogger(__name__)

_BACKLOG = 2_048
_KEEP_ALIVE_S = 75
_MAX_HEAD_BYTES = 524_288  # above what one read of the socket may bring, as the end of the body before may come with it
_GC_AFTER = (20_000, 20, 50)  # new objects; a request makes some thousand, hardly any of them in a circle
_SWITCH_S = 0.001  # the thread that all connections wait for asks a busy thread for the interpreter after so long, instead of 5 ms


def _nothing() -> None:
    return


class PortTaken(Exception):
    """Somebody else listens there."""


class _Config(uvicorn.Config):
    """What uvicorn is told, and what the connections may do."""

    def __init__(self, connections: Connections, app: Starlette, **settings: Any) -> None:
        super().__init__(app, **settings)
        self.of_connections = connections


class _OnePiece:
    """A transport that writes the head of an answer together with what follows at once.

    A process that is killed between the two would have sent a half answer, which nobody can take back or ask another replica for.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
            self._transport.write(data)
        elif data.startswith(b"HTTP/1."):
            self._head = data
            self._loop.call_soon(self._flush)  # what follows may take its time
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Guarded(HttpToolsProtocol):
    """HTTP/1.1 over one connection of so many, that gives up on what never ends.

    A request line and headers may be neither endless, as parsing them grows slower with every byte for everybody, nor
    slow; nor may the rest of a body that was answered before it was read.
    """

    _head_bytes: int | None = None  # of the head that is being read
    _owing: asyncio.TimerHandle | None = None  # rings when what the client has to send is overdue
    _counted = False
    _untaken: asyncio.TimerHandle | None = None  # looks whether the client takes what is waiting for it
    _untaken_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_OnePiece(transport, self.loop))  # pyright: ignore[reportArgumentType]
        bounds = self._bounds
        if bounds.open >= bounds.at_most:
            bounds.refused += 1
            self._end_with(503, f"{bounds.open:,} connections are open, which is all that may; come again after Retry-After seconds", "retry-after: 1\r\n")
            return
        bounds.open += 1
        self._counted = True
        self._owe(bounds.head_within_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None
        if self._counted:
            self._bounds.open -= 1
            self._counted = False
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_bytes is None or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > _MAX_HEAD_BYTES:
            self.send_400_response(f"The request line and the headers have more than {_MAX_HEAD_BYTES:,} bytes.")
        elif self._owing is None:
            self._owe(self._bounds.head_within_s)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        self._settle()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._settle()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.more_body and self._owing is None and not self.transport.is_closing():  # nobody reads it any more, but it has to come
            self._owe(self._bounds.body_within_s)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_taking()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_taking()  # it closes once everything was taken

    def _watch_taking(self) -> None:
        """Gives up on a client that takes nothing more of its answers: it would keep its place for ever."""
        if self._untaken is None:
            self._untaken_bytes = self.transport.get_write_buffer_size()
            self._untaken = self.loop.call_later(self._bounds.take_within_s, self._look_at_taking)

    def _look_at_taking(self) -> None:
        self._untaken = None
        waiting = self.transport.get_write_buffer_size()
        if waiting == 0:
            return
        if waiting == self._untaken_bytes:
            self._bounds.given_up += 1
            self.transport.abort()
        else:
            self._watch_taking()

    @property
    def _bounds(self) -> Connections:
        return self.config.of_connections  # pyright: ignore[reportAttributeAccessIssue]

    def _owe(self, within_s: float) -> None:
        self._owing = self.loop.call_later(within_s, self._give_up)

    def _settle(self) -> None:
        if self._owing is not None:
            self._owing.cancel()
            self._owing = None

    def _give_up(self) -> None:
        self._owing = None
        if self.transport.is_closing():
            return
        self._bounds.given_up += 1
        if self._head_bytes is None:  # not even a first byte, or the rest of what was answered long ago: there is nothing to say
            self.transport.close()
        else:
            self._end_with(408, f"the headers were not there within {self._bounds.head_within_s:g} s; send them at once")

    def _end_with(self, status: int, error: str, header: str = "") -> None:
        body = encode(ErrorAnswer(error))
        told = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        head = f"{told}{header}connection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()


class Server(uvicorn.Server):
    """A server that says when it is there. `stop` may be called from any thread."""

    def __init__(
        self,
        app: Starlette,
        host: str = "127.0.0.1",
        port: int = 8000,
        *,
        shutdown_s: float = 10.0,
        ready: Callable[[str], None] | None = None,
        connections: Connections | None = None,
        drain_s: float = 0.0,
        drain: Callable[[], None] = _nothing,
    ) -> None:
        self._socket = listen(host, port)
        self._ready = ready
        self._drain_s, self._drain = drain_s, drain
        self._end_at = math.inf  # in `time.monotonic` seconds
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}"
        settings = _Config(
            connections or Connections(),
            app,
            http=_Guarded,
            loop="uvloop",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, round(shutdown_s)),
        )
        super().__init__(settings)

    def serve_until_stopped(self) -> None:
        """Answers requests until `stop` or SIGINT, or until `drain_s` after a SIGTERM; requests under way are finished first.

        `drain` is called at a SIGTERM: load balancers have time to go elsewhere while everything is still answered. A second signal ends it at once.
        """
        try:
            self.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Ends `serve_until_stopped`."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
        elif self._drain_s and self._end_at == math.inf:
            self._end_at = time.monotonic() + self._drain_s
            self._drain()
        else:  # uvicorn would raise it again afterwards, and what has to be closed would not be
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or time.monotonic() >= self._end_at

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and not self.should_exit:
            logger.info("serving at %s", self.url)
            if self._ready is not None:
                self._ready(self.url)


def run(
    app: Starlette,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    shutdown_s: float = 10.0,
    ready: Callable[[str], None] | None = None,
    connections: Connections | None = None,
    drain_s: float = 0.0,
    drain: Callable[[], None] = _nothing,
) -> None:
    """Serves `app` until the process is told to stop; `ready` gets the URL once requests are answered.

    Port 0 takes any free one. Raises PortTaken.
    """
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()  # what there is when it begins stays: looking through it again and again finds nothing
    gc.set_threshold(*_GC_AFTER)
    Server(app, host, port, shutdown_s=shutdown_s, ready=ready, connections=connections, drain_s=drain_s, drain=drain).serve_until_stopped()


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to host and port, so that a taken port is known before anything else starts."""
    listening: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as problem:
        if listening is not None:
            listening.close()
        raise PortTaken(
            f"can't listen on {host}:{port}: {problem.strerror}; end what listens there, or set REELRANK_SERVING__PORT to another port (0: any free one)"
        ) from problem
    return listening

"""Runs the application on a port until it is told to stop."""

import logging
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

logger = logging.getLogger(__name__)

_BACKLOG = 2_048
_KEEP_ALIVE_S = 75
_MAX_HEAD_BYTES = 524_288  # above what one read of the socket may bring, as the end of the body before may come with it


class PortTaken(Exception):
    """Somebody else listens there."""


class _BoundedHead(HttpToolsProtocol):
    """HTTP/1.1 that gives up on a request whose line and headers never end: parsing them grows slower with every byte, for everybody."""

    _head_bytes: int | None = None  # of the head that is being read

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_bytes is not None and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self.send_400_response(f"The request line and the headers have more than {_MAX_HEAD_BYTES:,} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        super().on_headers_complete()


class Server(uvicorn.Server):
    """A server that says when it is there. `stop` may be called from any thread."""

    def __init__(
        self, app: Starlette, host: str = "127.0.0.1", port: int = 8000, *, shutdown_s: float = 10.0, ready: Callable[[str], None] | None = None
    ) -> None:
        self._socket = listen(host, port)
        self._ready = ready
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}"
        settings = uvicorn.Config(
            app,
            http=_BoundedHead,
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
        """Answers requests until SIGTERM, SIGINT or `stop`; requests under way are finished first."""
        try:
            self.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Ends `serve_until_stopped`."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and not self.should_exit:
            logger.info("serving at %s", self.url)
            if self._ready is not None:
                self._ready(self.url)


def run(app: Starlette, host: str = "127.0.0.1", port: int = 8000, *, shutdown_s: float = 10.0, ready: Callable[[str], None] | None = None) -> None:
    """Serves `app` until the process is told to stop; `ready` gets the URL once requests are answered.

    Port 0 takes any free one. Raises PortTaken.
    """
    Server(app, host, port, shutdown_s=shutdown_s, ready=ready).serve_until_stopped()


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

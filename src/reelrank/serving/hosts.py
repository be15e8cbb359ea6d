"""By which names a service that asks for no key may be called: any site can have its own name lead here (DNS rebinding), and be this site to a browser."""

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from reelrank.events.validation import quoted
from reelrank.serving.answers import ErrorAnswer, answer
from reelrank.serving.auth import is_loopback


class OnlyByName:
    """Turns requests away that were meant for another name than this machine's own, or one of `names`, which have commas between them.

    Browsers say in every request which name they looked up; who says nothing is none.
    """

    def __init__(self, app: ASGIApp, names: str) -> None:
        self._app = app
        self._names = {name.strip().lower() for name in names.split(",")} - {""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for header, value in scope["headers"]:
                if header == b"host" and not self._is_ours(name := name_in(value.decode("latin-1"))):
                    await _misdirected(name)(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _is_ours(self, name: str) -> bool:
        return is_loopback(name) or name in self._names


def name_in(host: str) -> str:
    """The name or address in a Host header: what stands before the port."""
    return (host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]).lower()


def _misdirected(name: str) -> Response:
    error = f"{quoted(name)} is no name of this machine, and others are not let in where no key is asked for; if it should lead here, put it into serving.hosts"
    return answer(ErrorAnswer(error), 421, {"Connection": "close"})

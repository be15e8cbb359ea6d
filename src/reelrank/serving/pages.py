"""The pages: static files with ETags, under a strict content security policy."""

from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

FOLDER = Path(__file__).parent / "page"
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob: http: https:",  # renditions may lie on a CDN
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}  # kept by browsers, but asked for each time: the ETag says if it is still right


class Pages:
    """Files from the folder of the page."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = StaticFiles(directory=folder, check_dir=False)

    def routes(self) -> list[Route | Mount]:
        """The page, the reader of the API's description, and what they are made of."""
        return [Route("/", self._page("index.html")), Route("/docs", self._page("docs.html")), Mount("/page", app=self._file)]

    def _page(self, name: str):
        async def page(request: Request) -> Response:
            response = await self._files.get_response(name, request.scope)
            response.headers.update(_HEADERS)
            return response

        return page

    async def _file(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._files(scope, receive, with_headers)

"""GET /v1/videos/{video_id}: what is known of a video and how often it was watched; and its file."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from reelrank.domain.video import MAX_ID_CHARS, Video
from reelrank.events.validation import explain, quoted
from reelrank.features import windows
from reelrank.features.windows import Counter
from reelrank.serving.answers import Refuse, answer, parameters
from reelrank.serving.feed_api import media_url
from reelrank.serving.services import Services

_KEPT = "public, max-age=86400"


class MediaQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a request for a video's file."""

    bandwidth_kbps: Annotated[int, Meta(ge=0, le=100_000_000, description="picks the best rendition that plays without stalls")] | None = None
    until: Annotated[int, Meta(ge=0, le=2**53, description="when the address ends to be good, as media_url says it")] | None = None
    sign: Annotated[str, Meta(max_length=64, description="the signature of the address, as media_url says it")] | None = None


class VideoAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A video, and its counters: window -> what was counted in it; `total` is since the beginning."""

    video: Video
    removed: bool
    media_url: str | None
    counters: dict[str, dict[str, float]]


class VideosApi:
    """The catalogue's door."""

    def __init__(self, services: Services) -> None:
        self._services = services
        root = services.media_root
        self._media = None if root is None else root.resolve()
        self._files = StaticFiles(directory=root, check_dir=False)

    async def get(self, request: Request) -> Response:
        """Metadata and counters."""
        parameters(request, ())
        row = self._row(request)
        return answer(await run_in_threadpool(self._known_of, row))

    async def get_media(self, request: Request) -> Response:
        """The file, whole or in ranges."""
        given = parameters(request, MediaQuery.__struct_fields__)
        try:
            query = msgspec.convert(given, MediaQuery, strict=False)
        except msgspec.ValidationError as problem:
            raise Refuse(400, explain(problem, given)) from None
        if self._services.media_signer is not None:
            self._services.media_signer.check(request.path_params["video_id"], query.until or 0, query.sign or "")
        video = self._services.columns.videos[self._row(request)]
        rendition = video.rendition_for(query.bandwidth_kbps)
        if rendition is None:
            raise Refuse(404, f"video {quoted(video.video_id)} has no file; it was published without renditions")
        if rendition.url.lower().startswith(("http://", "https://")):
            return RedirectResponse(rendition.url, 302, {"Cache-Control": _KEPT})
        path, found = await run_in_threadpool(self._file, rendition.url)
        if path is None or found is None:
            raise Refuse(404, f"the file {quoted(rendition.url)} of video {quoted(video.video_id)} is not in the media folder")
        response = self._files.file_response(path, found, request.scope)
        response.headers["Cache-Control"] = _KEPT
        return response

    def _row(self, request: Request) -> int:
        video_id: str = request.path_params["video_id"]
        row = self._services.columns.row_of(video_id) if len(video_id) <= MAX_ID_CHARS else None
        if row is None:
            raise Refuse(404, f"there is no video {quoted(video_id)}; publish it with a video_published event")
        return row

    def _known_of(self, row: int) -> VideoAnswer:
        services = self._services
        state = services.reader.video_counters(np.array([row], dtype=np.int64))
        now = services.clock.now()
        counted = {"total": windows.totals(state), **{name: windows.window(state, name, now) for name in windows.WINDOWS}}
        return VideoAnswer(
            video=services.columns.videos[row],
            removed=bool(services.columns.removed[row]),
            media_url=media_url(services.columns.videos[row], None, services.media_signer),
            counters={name: _named(figures[0].tolist()) for name, figures in counted.items()},
        )

    def _file(self, url: str) -> tuple[Path | None, os.stat_result | None]:
        """A file below the media folder, or below a folder that a link directly in it leads to; nothing if it lies elsewhere."""
        if self._media is None:
            return None, None
        try:
            shelf = self._media / url.partition("/")[0]
            inside = shelf.resolve() if shelf.is_symlink() and shelf.is_dir() else self._media
            path = (self._media / url).resolve()
            return (path, path.stat()) if path.is_relative_to(inside) and path.is_file() else (None, None)
        except (OSError, ValueError, RuntimeError):  # too long a name, a loop of links
            return None, None


def _named(figures: list[int]) -> dict[str, float]:
    """Counters by name, tenths of seconds as seconds."""
    tenths = {Counter.WATCHED_DS: "watched_s", Counter.STALLED_DS: "stalled_s"}
    return {tenths.get(counter, counter.name.lower()): figures[counter] / 10 if counter in tenths else figures[counter] for counter in Counter}

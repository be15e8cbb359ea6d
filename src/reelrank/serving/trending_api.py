"""GET /v1/trending: videos, tags and sounds that many engage with right now, everywhere or at a place."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from reelrank.serving.answers import answer, query_of
from reelrank.serving.services import Services


class TrendingQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of the question what trends."""

    kind: Literal["videos", "tags", "sounds"] = "videos"
    place: Annotated[str, Meta(max_length=64, description="what people there engage with; without it everywhere")] = ""
    count: Annotated[int, Meta(ge=1, le=200, description="how many at most")] = 20


class TrendingEntry(msgspec.Struct, frozen=True):
    """One that trends: a video's id, a tag, or a sound's id."""

    name: str
    score: float  # engagement per hour, with a bonus for what speeds up
    velocity: float  # its pace now over its pace lately: 1 steady, 2 twice as fast


class TrendingAnswer(msgspec.Struct, frozen=True):
    """What trends, best first. `now` is the server's clock."""

    kind: str
    place: str
    now: float
    trending: list[TrendingEntry]


class TrendingApi:
    """What trends."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: Request) -> Response:
        """The best of a kind."""
        return answer(await run_in_threadpool(self._answer, query_of(request, TrendingQuery)), headers={"Cache-Control": "max-age=5"})

    def _answer(self, query: TrendingQuery) -> TrendingAnswer:
        services, board = self._services, self._services.trending
        place = query.place or None
        columns = services.columns
        if query.kind == "videos":
            found = [(columns.videos[trend.row].video_id, trend) for trend in board.videos(query.count, place)]
        elif query.kind == "tags":
            found = [(columns.tags.get(trend.row, ""), trend) for trend in board.tags(query.count, place)]
        else:
            found = [(columns.sounds.get(trend.row, ""), trend) for trend in board.sounds(query.count, place)]
        # a name may be missing for the moment in which another process has just published its first video
        entries = [TrendingEntry(name, trend.score, trend.velocity) for name, trend in found if name]
        return TrendingAnswer(query.kind, query.place, services.clock.now(), entries)

"""GET /v1/trending: videos, tags and sounds that many engage with right now, everywhere or at a place, as far as they may be shown."""

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from reelrank.candidates.board import KEPT, Trend
from reelrank.domain.arrays import Rows
from reelrank.domain.eligibility import normal_region
from reelrank.domain.event import Context
from reelrank.domain.video import REGION
from reelrank.feed import FeedRequest
from reelrank.serving.answers import answer, query_of
from reelrank.serving.services import Services


class TrendingQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of the question what trends."""

    kind: Literal["videos", "tags", "sounds"] = "videos"
    place: Annotated[str, Meta(max_length=64, description="what people there engage with; without it everywhere")] = ""
    region: Annotated[str, Meta(pattern=f"^({REGION})?$", description="where it is shown; without it only what may be shown everywhere")] = ""
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
        now, place, columns = services.clock.now(), query.place or None, services.columns
        in_force = services.feed.rules.in_force(now, normal_region(query.region))
        if query.kind == "videos":
            videos = board.videos(KEPT, place)
            anybody = FeedRequest(user_id="", context=Context(region=query.region))
            may = set(services.feed.allowed(anybody, np.array([trend.row for trend in videos], dtype=np.int64), now).tolist())
            found = [(columns.videos[trend.row].video_id, trend) for trend in videos if trend.row in may]
        elif query.kind == "tags":
            muted = in_force.named("mute", "tag")
            found = [(columns.tags.get(trend.row, ""), trend) for trend in _without(muted, board.tags(query.count + len(muted), place))]
        else:
            muted = in_force.named("mute", "sound")
            found = [(columns.sounds.get(trend.row, ""), trend) for trend in _without(muted, board.sounds(query.count + len(muted), place))]
        # a name may be missing for the moment in which another process has just published its first video
        entries = [TrendingEntry(name, trend.score, trend.velocity) for name, trend in found[: query.count] if name]
        return TrendingAnswer(query.kind, query.place, now, entries)


def _without(muted: Rows, trends: Iterable[Trend]) -> list[Trend]:
    gone = set(muted.tolist())
    return [trend for trend in trends if trend.row not in gone]

"""GET /v1/feed: the next videos for one user."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from reelrank.domain.event import Context
from reelrank.domain.video import REGION, Id, Video
from reelrank.feed import FeedRequest
from reelrank.ranking.answered_slate import Slate, SlatePlace
from reelrank.serving.answers import answer, query_of
from reelrank.serving.auth import MediaSigner
from reelrank.serving.request_moments import Asked, RequestMoments
from reelrank.serving.services import Services
from reelrank.storage.event_log import partition_of

logger = logging.getLogger(__name__)


class FeedQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a feed request."""

    user_id: Id
    count: Annotated[int, Meta(ge=1, le=50, description="videos in the slate")] = 10
    surface: Annotated[str, Meta(max_length=32)] = "for_you"
    device: Annotated[str, Meta(max_length=32)] = ""
    place: Annotated[str, Meta(max_length=64)] = ""
    network: Annotated[str, Meta(max_length=16)] = ""
    bandwidth_kbps: Annotated[int, Meta(ge=0, le=100_000_000)] | None = None
    local_hour: Annotated[int, Meta(ge=0, le=23)] | None = None
    local_weekday: Annotated[int, Meta(ge=0, le=6, description="0 Monday to 6 Sunday")] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1, description="makes the draws of exploration repeatable")] | None = None
    exploration: Annotated[Literal["on", "off"], Meta(description="off: no place is given to chance")] = "on"
    region: Annotated[str, Meta(pattern=f"^({REGION})?$", description="where the user is by law, where that is not what their profile says")] = ""
    personalized: Annotated[
        Literal["true", "false"], Meta(description="false: nothing of the user counts but what they must or want not to be shown, and what they were shown")
    ] = "true"

    @property
    def context(self) -> Context:
        """Where and how the user watches."""
        return Context(
            device=self.device,
            place=self.place,
            network=self.network,
            bandwidth_kbps=self.bandwidth_kbps,
            local_hour=self.local_hour,
            local_weekday=self.local_weekday,
            surface=self.surface,
            region=self.region,
        )


class FeedVideo(msgspec.Struct, frozen=True, kw_only=True):
    """One place of a slate, with what a player needs."""

    position: int
    video_id: str
    author_id: str
    caption: str
    tags: tuple[str, ...]
    sound_id: str
    effects: tuple[str, ...]
    language: str
    place: str
    duration_s: float
    uploaded_at: float
    media_url: str | None  # null for a video without files
    width: int | None
    height: int | None
    liked: bool
    following: bool
    score: float | None
    sources: tuple[str, ...]
    reason: str


class FeedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A slate. `now` is the server's clock; `degraded` names the parts that were late or failed.

    It knows all that this user did before `offset` of `partition`: the receipt of a batch of events says where it ended.
    """

    request_id: str
    user_id: str
    partition: int
    offset: int
    now: float
    degraded: list[str]
    ranked_by: str  # empty where nothing ranked
    kept: bool  # whether it was ranked for an earlier request of this user
    models: dict[str, str]  # artifact -> the version that proposed or ranked
    videos: list[FeedVideo]
    empty_because: dict[str, int] | None = None  # where there is no video: why -> how many may not be shown for it; empty where none is published


class FeedApi:
    """The feed's door."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._moments = RequestMoments(services.clock.now, services.clock_shift_s)

    async def get(self, request: Request) -> Response:
        """Makes a slate."""
        query = query_of(request, FeedQuery, {"user_id": "it says whose feed this is"})
        asked = self._moments.of(query.user_id, request.headers)
        door = self._services.feed_door
        door.begin()
        try:
            made = await asyncio.get_running_loop().run_in_executor(self._services.feed_threads, self._answer, query, asked)
        finally:
            door.finish()
        return answer(made, headers={"Cache-Control": "no-store"})

    def _answer(self, query: FeedQuery, asked: Asked) -> FeedAnswer:
        services = self._services
        now = asked.at
        wish = FeedRequest(
            user_id=query.user_id,
            count=query.count,
            context=query.context,
            seed=query.seed,
            exploration=query.exploration == "on",
            personalized=query.personalized == "true",
            asked_as=asked.id,
        )
        try:
            slate = services.feed.recommend(wish, now)
        except Exception:
            logger.exception("no feed could be made for %r; it gets what was ranked before, or what is popular", query.user_id)
            services.metrics.failed_feeds.inc()
            if (recovered := self._recovered(wish, now)) is not None:
                return self._told(recovered, query)
            places = _unranked(services.fallback_rows(wish))
            partition = partition_of(query.user_id, services.log.partitions)
            request_id = services.feed.name_slate(wish, now)  # what people do with it counts
            return self._told(
                Slate(request_id, query.user_id, partition, 0, now, ["the feed failed and shows what is popular"], "", False, {}, places, {}), query
            )
        services.metrics.observe_feed(slate.stages, slate.degraded)
        return self._told(slate, query)

    def _recovered(self, wish: FeedRequest, now: float) -> Slate | None:
        try:
            return self._services.feed.recover(wish, now)
        except Exception:
            logger.exception("what was ranked for %r before can't be shown either", wish.user_id)
            return None

    def _told(self, slate: Slate, query: FeedQuery) -> FeedAnswer:
        known = self._services.columns.videos
        return FeedAnswer(
            request_id=slate.request_id,
            user_id=slate.user_id,
            partition=slate.partition,
            offset=slate.offset,
            now=slate.now,
            degraded=slate.degraded,
            ranked_by=slate.ranked_by,
            kept=slate.kept,
            models=slate.models,
            videos=[_shown(place, known[place.row], query.bandwidth_kbps, self._services.media_signer) for place in slate.places],
            empty_because=slate.empty_because,
        )


def media_url(video: Video, bandwidth_kbps: int | None, signer: MediaSigner | None) -> str | None:
    """Where a video's file is played from; None if it has none."""
    if not video.renditions:
        return None
    url = f"/v1/videos/{quote(video.video_id, safe='')}/media"
    url = url if bandwidth_kbps is None else f"{url}?bandwidth_kbps={bandwidth_kbps}"
    return url if signer is None else signer.signed(video.video_id, url)


def _shown(place: SlatePlace, video: Video, bandwidth_kbps: int | None, signer: MediaSigner | None) -> FeedVideo:
    rendition = video.rendition_for(bandwidth_kbps)
    return FeedVideo(
        position=place.position,
        video_id=video.video_id,
        author_id=video.author_id,
        caption=video.caption,
        tags=video.tags,
        sound_id=video.sound_id,
        effects=video.effects,
        language=video.language,
        place=video.place,
        duration_s=video.duration_s,
        uploaded_at=video.uploaded_at,
        media_url=media_url(video, bandwidth_kbps, signer),
        width=None if rendition is None else rendition.width,
        height=None if rendition is None else rendition.height,
        liked=place.liked,
        following=place.following,
        score=place.score,
        sources=place.sources,
        reason=place.reason,
    )


def _unranked(rows: Sequence[int]) -> list[SlatePlace]:
    """Places of videos that nobody scored."""
    return [
        SlatePlace(row=row, position=position, score=0.0, sources=("trending",), reason="popular", propensity=1.0, liked=False, following=False)
        for position, row in enumerate(rows)
    ]

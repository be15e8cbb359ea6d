"""GET /v1/controls: what a user has said of their feed, so that an app can show it and have it taken back."""

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from reelrank.domain.video import Id
from reelrank.serving.answers import Refuse, answer, query_of
from reelrank.serving.services import Services
from reelrank.storage.event_log import StorageError


class ControlsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose controls are asked for."""

    user_id: Id


class Blocks(msgspec.Struct, frozen=True, kw_only=True):
    """What a user wants nothing more of, in the order in which they said so."""

    authors: list[str]
    sounds: list[str]
    words: list[str]


class ControlsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What stands of what a user has said. It knows all that they did before `offset` of the log's partition."""

    user_id: str
    blocked: Blocks
    topics: dict[str, str]  # tag -> more or less
    age: int | None  # as it was told
    region: str
    languages: tuple[str, ...]
    offset: int


class ControlsApi:
    """Shows controls; they are set by events."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: Request) -> Response:
        """What one user has said."""
        query = query_of(request, ControlsQuery, {"user_id": "it says whose controls are asked for"})
        return answer(await run_in_threadpool(self._of, query.user_id), headers={"Cache-Control": "no-store"})

    def _of(self, user_id: str) -> ControlsAnswer:
        services = self._services
        try:
            user = services.reader.user(user_id)
        except StorageError:
            raise Refuse(503, "what users said can't be read just now; ask again in a few seconds", {"Retry-After": "2"}) from None
        return ControlsAnswer(
            user_id=user_id,
            blocked=Blocks(
                authors=[services.columns.author_ids[author] for author in user.blocked.tolist()],
                sounds=list(user.blocked_sounds),
                words=list(user.blocked_words),
            ),
            topics={tag: "more" if amount > 0 else "less" for tag, amount in user.topics.items()},
            age=user.bounds.age,
            region=user.bounds.region,
            languages=user.bounds.languages,
            offset=user.offset,
        )

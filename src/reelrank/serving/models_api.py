"""GET /v1/models: which models this process works with, which version of each and since when, and what came of their last trainings."""

import asyncio
import time
from collections.abc import Iterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from reelrank.serving.answers import answer, parameters
from reelrank.serving.services import Services
from reelrank.storage.last_runs import LastRun


class LiveModel(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact as this process uses it; `about` is what its maker wrote down, numbers of how good it is among it."""

    name: str
    version: str
    created_at: float
    since: float  # when this process began to use it
    about: dict[str, str | int | float]


class ModelsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What proposes and ranks just now, and the last trainings. `now` is the server's clock, and so are `created_at`, `since` and `ended_at`."""

    now: float
    ranked_by: str
    models: list[LiveModel]
    trainings: list[LastRun]


class ModelsApi:
    """Tells of models."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: Request) -> Response:
        """The models that are live, from memory, and their last trainings, from a small file each."""
        parameters(request, ())
        services = self._services
        now = services.clock.now()
        runs = [] if services.last_runs is None else await asyncio.to_thread(services.last_runs.all)
        made = ModelsAnswer(now=now, ranked_by=services.feed.ranked_by, models=list(self._live(now)), trainings=runs)
        return answer(made, headers={"Cache-Control": "no-store"})

    def _live(self, now: float) -> Iterator[LiveModel]:
        for published in self._services.models:
            live = published.live
            if live is not None:
                manifest = live.manifest
                since = now - (time.monotonic() - live.since)
                yield LiveModel(name=manifest.name, version=live.name, created_at=manifest.made_at, since=since, about=manifest.about)

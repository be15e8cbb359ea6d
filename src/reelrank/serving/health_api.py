"""Whether the process lives, whether it can answer, and its metrics."""

import msgspec
import numpy as np
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from reelrank.serving.answers import ErrorAnswer, answer
from reelrank.serving.services import Services
from reelrank.storage.event_log import EVENTS, StorageError

_BEYOND_ALL = 2**62  # a revision that no catalogue reaches


class LiveAnswer(msgspec.Struct, frozen=True):
    """The process runs."""

    live: bool = True


class ReadyAnswer(msgspec.Struct, frozen=True):
    """A feed can be answered; `lag` is how many records of each partition the stream has yet to fold.

    `away` names what can't be reached just now, and models that wait for their index: feeds are answered without these.
    """

    ready: bool
    videos: int
    lag: list[int]
    away: list[str]


class HealthApi:
    """For supervisors, load balancers and Prometheus."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get_live(self, _request: Request) -> Response:
        """Answers as long as the process does."""
        return answer(LiveAnswer())

    async def get_ready(self, _request: Request) -> Response:
        """Asks the counters, which every feed needs; and the store, the log and the catalogue, without which it is a poorer one."""
        if self._services.draining:
            return answer(ErrorAnswer("not ready: this replica ends soon; another one answers"), 503, {"Retry-After": "1"})
        try:
            return answer(await run_in_threadpool(self._asked))
        except Exception as problem:  # whatever a backend raises, the reason belongs into the answer
            return answer(ErrorAnswer(f"not ready: {problem or type(problem).__name__}"), 503, {"Retry-After": "1"})

    async def get_metrics(self, _request: Request) -> Response:
        """All figures as text."""
        return Response(await run_in_threadpool(self._services.metrics.exposition), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _asked(self) -> ReadyAnswer:
        services = self._services
        services.reader.video_counters(np.zeros(1, dtype=np.int64))
        lag: list[int] = []
        away: list[str] = []
        try:
            lag = [services.log.end(EVENTS, partition) - offset for partition, offset in enumerate(services.store.offsets())]
        except StorageError as problem:
            away.append(str(problem))
        try:
            services.catalog.changes(_BEYOND_ALL, at_most=1)
        except Exception as problem:
            away.append(str(problem))
        waiting = [model for model in services.models if model.waiting and model.live is None]
        away += [f"{model.name} {model.waiting} waits for its index, which `reelrank index` builds" for model in waiting]
        return ReadyAnswer(ready=True, videos=services.columns.count, lag=lag, away=away)

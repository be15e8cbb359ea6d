"""The HTTP service as one application: routes, what runs beside them, and what every answer has in common."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reelrank.serving.admission import RETRY, Door
from reelrank.serving.answers import ErrorAnswer, encode, failed, refused
from reelrank.serving.auth import REFRESH_S, Endpoint, is_loopback
from reelrank.serving.events_api import EventsApi
from reelrank.serving.feed_api import FeedApi
from reelrank.serving.health_api import HealthApi
from reelrank.serving.hosts import OnlyByName
from reelrank.serving.models_api import ModelsApi
from reelrank.serving.openapi import OpenApi
from reelrank.serving.pages import Pages
from reelrank.serving.services import Services, ServingConfig
from reelrank.serving.trending_api import TrendingApi
from reelrank.serving.videos_api import VideosApi
from reelrank.serving.why_api import WhyApi
from reelrank.storage.keys import ADMIN

logger = logging.getLogger(__name__)

_FEED_REFRESH_S = 1.0
_LAG_EVERY_S, _LAG_FADES = 0.05, 0.7
_SAFETY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin"}
_TURNED_AWAY = [(name.lower().encode(), value.encode()) for name, value in {**_SAFETY, **RETRY, "Content-Type": "application/json"}.items()]


def create_app(services: Services) -> Starlette:
    """The service over connected parts. They stay the caller's: stopping the app closes none of them."""
    services.metrics.follow(services.log, services.store, services.columns, services.collector)
    services.metrics.follow_doors([services.event_door, services.feed_door], services.connections, services.feed.served_log)
    services.metrics.follow_models(services.models)
    if services.train_status is not None:
        services.metrics.follow_training(services.train_status)
    if services.last_runs is not None:
        services.metrics.follow_runs(services.last_runs)
    services.metrics.follow_pages(services.feed.pages)
    if services.recall is not None:
        services.metrics.follow_recall(services.recall)
    if services.hot_swap is not None:
        services.metrics.follow_rows(services.hot_swap)
    if services.histories is not None:
        services.metrics.follow_histories(services.histories)
    authenticator = services.authenticator
    needs = _open if authenticator is None else authenticator.needs
    videos, health = VideosApi(services), HealthApi(services)
    routes = [
        Route("/v1/events", needs("events:write", EventsApi(services).post), methods=["POST"]),
        Route("/v1/feed", needs("feed:read", FeedApi(services).get)),
        Route("/v1/videos/{video_id:path}/media", videos.get_media),  # the address is signed
        Route("/v1/videos/{video_id:path}", needs("feed:read", videos.get)),
        Route("/v1/trending", needs("feed:read", TrendingApi(services).get)),
        Route("/v1/models", needs("feed:read", ModelsApi(services).get)),
        Route("/v1/why/{request_id}", needs("feed:read", WhyApi(services).get)),
        Route("/-/live", health.get_live),
        Route("/-/ready", health.get_ready),
        Route("/metrics", needs(ADMIN, health.get_metrics)),
        Route("/openapi.json", OpenApi(authenticator is not None).get),
        *Pages().routes(),
    ]

    @asynccontextmanager
    async def beside_it(_app: Starlette) -> AsyncIterator[None]:
        try:
            await asyncio.to_thread(services.feed.warm_up, services.clock.now())
        except Exception:  # /-/ready says what is away, and the feed goes without it
            logger.exception("the feed could not be warmed up")
        tasks = [
            asyncio.create_task(_keep_doing(services.columns.refresh, services.config.refresh_s)),
            asyncio.create_task(_keep_doing(services.feed.refresh, _FEED_REFRESH_S)),
            asyncio.create_task(_watch_lag([services.event_door, services.feed_door])),
        ]
        if authenticator is not None:
            tasks.append(asyncio.create_task(_keep_doing(authenticator.refresh, REFRESH_S)))
        ended = threading.Event()
        if services.hot_swap is not None:
            tasks.append(asyncio.create_task(asyncio.to_thread(services.hot_swap.follow, ended.is_set)))
        try:
            yield
        finally:
            ended.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(services.stop)

    middleware = [Middleware(_EveryAnswer, services=services, doors={"/v1/events": services.event_door, "/v1/feed": services.feed_door})]
    if authenticator is None and is_loopback(services.config.host):
        middleware.append(Middleware(OnlyByName, services.config.hosts))
    app = Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={HTTPException: refused},
        lifespan=beside_it,
    )
    app.router.redirect_slashes = False
    return app


class _EveryAnswer:
    """Adds the headers that protect browsers, turns faults into answers, and counts what was answered and how fast.

    Who can't come in is told so here, before anything else is done for the request: under overload that is most of them.
    """

    def __init__(self, app: ASGIApp, services: Services, doors: Mapping[str, Door]) -> None:
        self._app = app
        self._services = services
        self._metrics = services.metrics
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        door = self._doors.get(scope["path"])
        if door is not None and (reason := door.refusal()) is not None:
            await _turn_away(send, reason)
            self._metrics.observe_request(scope["path"], 429, time.perf_counter() - began)
            return

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(_SAFETY)
                if self._services.draining:  # the next request on this connection is another replica's
                    headers["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if status:  # half an answer can't be mended: the connection ends here
                raise
            await failed(scope, receive, with_headers)
        finally:
            route = scope.get("route")
            self._metrics.observe_request(getattr(route, "path", "none"), status, time.perf_counter() - began)


def _open(_scope: str, endpoint: Endpoint) -> Endpoint:
    """The endpoint for everybody."""
    return endpoint


async def _turn_away(send: Send, reason: str) -> None:
    body = encode(ErrorAnswer(reason))
    await send({"type": "http.response.start", "status": 429, "headers": [*_TURNED_AWAY, (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def _watch_lag(doors: Sequence[Door]) -> None:
    """Tells the doors how late the event loop is: at once when it gets worse, little by little when it gets better."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(_LAG_EVERY_S)
        late_s = time.perf_counter() - began - _LAG_EVERY_S
        for door in doors:
            door.lag_s = max(late_s, _LAG_FADES * door.lag_s)


async def _keep_doing(what: Callable[[], object], pause_s: float) -> None:
    """Calls `what` in a thread, again and again; when it fails, the next time may go better."""
    failing = False
    while True:
        try:
            await asyncio.to_thread(what)
        except Exception:
            if not failing:  # once: what is away stays away for many times
                logger.exception("%s failed and is tried again", getattr(what, "__qualname__", what))
            failing = True
        else:
            if failing:
                logger.warning("%s works again", getattr(what, "__qualname__", what))
            failing = False
        await asyncio.sleep(pause_s)


__all__ = ["Services", "ServingConfig", "create_app"]

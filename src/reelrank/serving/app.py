"""The HTTP service as one application: routes, what runs beside them, and what every answer has in common."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reelrank.serving.answers import failed, refused
from reelrank.serving.events_api import EventsApi
from reelrank.serving.feed_api import FeedApi
from reelrank.serving.health_api import HealthApi
from reelrank.serving.openapi import OpenApi
from reelrank.serving.pages import Pages
from reelrank.serving.services import Services, ServingConfig
from reelrank.serving.telemetry import Metrics
from reelrank.serving.trending_api import TrendingApi
from reelrank.serving.videos_api import VideosApi
from reelrank.serving.why_api import WhyApi

logger = logging.getLogger(__name__)

_FEED_REFRESH_S = 1.0
_SAFETY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin"}


def create_app(services: Services) -> Starlette:
    """The service over connected parts. They stay the caller's: stopping the app closes none of them."""
    services.metrics.follow(services.log, services.store, services.columns, services.collector)
    videos, health = VideosApi(services), HealthApi(services)
    routes = [
        Route("/v1/events", EventsApi(services).post, methods=["POST"]),
        Route("/v1/feed", FeedApi(services).get),
        Route("/v1/videos/{video_id:path}/media", videos.get_media),
        Route("/v1/videos/{video_id:path}", videos.get),
        Route("/v1/trending", TrendingApi(services).get),
        Route("/v1/why/{request_id}", WhyApi(services).get),
        Route("/-/live", health.get_live),
        Route("/-/ready", health.get_ready),
        Route("/metrics", health.get_metrics),
        Route("/openapi.json", OpenApi().get),
        *Pages().routes(),
    ]

    @asynccontextmanager
    async def beside_it(_app: Starlette) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(_keep_doing(services.columns.refresh, services.config.refresh_s)),
            asyncio.create_task(_keep_doing(services.feed.refresh, _FEED_REFRESH_S)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(services.stop)

    app = Starlette(
        routes=routes,
        middleware=[Middleware(_EveryAnswer, metrics=services.metrics)],
        exception_handlers={HTTPException: refused},
        lifespan=beside_it,
    )
    app.router.redirect_slashes = False
    return app


class _EveryAnswer:
    """Adds the headers that protect browsers, turns faults into answers, and counts what was answered and how fast."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(_SAFETY)
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


async def _keep_doing(what: Callable[[], object], pause_s: float) -> None:
    """Calls `what` in a thread, again and again; when it fails, the next time may go better."""
    while True:
        try:
            await asyncio.to_thread(what)
        except Exception:
            logger.exception("%s failed and is tried again", getattr(what, "__qualname__", what))
        await asyncio.sleep(pause_s)


__all__ = ["Services", "ServingConfig", "create_app"]

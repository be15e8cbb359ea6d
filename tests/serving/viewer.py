"""Somebody in front of the page, in a real Chromium."""

import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from playwright.sync_api import Error, Page, Request, Response

DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
T = TypeVar("T")
NOW_PLAYING = "document.querySelector('.slide[data-video]:not([inert])')"


def until(check: Callable[[], T], what: str, patience_s: float = 15.0) -> T:
    """The first truthy answer of `check`."""
    deadline = time.monotonic() + patience_s
    while not (answer := check()):
        assert time.monotonic() < deadline, f"waited {patience_s} s in vain: {what}"
        time.sleep(0.03)
    return answer


class Viewer:
    """Somebody in front of the page, and everything the page said to the network and the console."""

    def __init__(self, page: Page, url: str, user: str) -> None:
        self.page = page
        self.url = url
        self.user = user
        self.posted: list[dict[str, Any]] = []  # events that the collector accepted
        self.feeds: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._asked)
        page.on("response", self._answered)

    def _asked(self, request: Request) -> None:
        self.hosts.add(urlsplit(request.url).netloc)

    def _answered(self, response: Response) -> None:
        path = urlsplit(response.url).path
        if path not in ("/v1/events", "/v1/feed") or not response.ok:
            return
        try:
            answer = response.json()
        except Error:  # the page was closed before the answer was read
            return
        if path == "/v1/feed":
            self.feeds.append(answer)
            return
        assert answer["refused"] == []
        self.posted.extend(response.request.post_data_json or [])

    def comes(self, query: str = "") -> "Viewer":
        self.page.goto(f"{self.url}/?user={self.user}{query}")
        until(lambda: self.place() == 1 and self.feeds, "the first video is on screen")
        return self

    def place(self) -> int | None:
        """Which video is on screen, from 1; None while the feed moves."""
        return self.page.evaluate(
            f"(() => {{ const s = {NOW_PLAYING}; return s && Math.abs(s.getBoundingClientRect().top) < 2 ? Number(s.ariaPosInSet) : null }})()"
        )

    def video(self) -> str:
        return self.page.evaluate(f"{NOW_PLAYING}.dataset.video")

    def played_s(self) -> float:
        return self.page.evaluate(f"{NOW_PLAYING}.querySelector('video')?.currentTime ?? 0")

    def presses(self, key: str, *, place: int | None = None) -> None:
        self.page.keyboard.press(key)
        if place is not None:
            until(lambda: self.place() == place, f"video {place} is on screen after {key}")

    def told(self, *kinds: str, video_id: str | None = None) -> dict[str, Any]:
        """The first accepted event of these kinds (about this video)."""

        def found() -> dict[str, Any] | None:
            self.page.wait_for_timeout(1)  # lets answers in
            return next((event for event in self.posted if event["type"] in kinds and video_id in (None, event.get("video_id"))), None)

        return until(found, f"{kinds} about {video_id or 'any video'} is accepted")

    def sees(self, selector: str) -> None:
        self.page.locator(selector).first.wait_for(state="visible", timeout=15_000)

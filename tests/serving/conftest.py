"""Services that know the videos v-1 to v-3; v-3 plays from a file. And viewers of the demo's page."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from serving.running_service import Service, running, with_videos
from serving.viewer import DESK, Viewer

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def started(folder: Path) -> Iterator[Service]:
    media = folder / "media"
    media.mkdir()
    (media / "clip.mp4").write_bytes(bytes(range(256)) * 40)
    (folder / "secret.txt").write_text("not for you")
    yield from with_videos(running(folder / "data", media))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service of this test alone."""
    yield from started(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests of a file, which must not mind what the others did."""
    yield from started(tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        missing = "no Chromium on the PATH; apt-get install chromium"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def arrive(browser: Browser, demo_server: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Viewer]]:
    """Makes viewers; afterwards the console must be clean and nobody else may have been asked anything."""
    contexts: list[BrowserContext] = []
    viewers: list[Viewer] = []

    def make(**options: Any) -> Viewer:
        contexts.append(browser.new_context(**{"viewport": DESK} | options))
        viewers.append(Viewer(contexts[-1].new_page(), demo_server.url, f"viewer-{request.node.name[:60]}-{time.time_ns()}"))
        return viewers[-1]

    yield make
    for context in contexts:
        context.close()
    for viewer in viewers:
        assert viewer.errors == []
        assert viewer.hosts == {urlsplit(demo_server.url).netloc}

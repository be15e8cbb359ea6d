"""A service on a port of its own, with real stores below it."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import urllib3

from reelrank.config import Settings, StorageConfig
from reelrank.domain.event import Accepted, decode_accepted
from reelrank.serving.app import create_app
from reelrank.serving.server import Server
from reelrank.storage.event_log import EVENTS
from reelrank.wiring import Reelrank, open_reelrank

UPLOADED_AT = float(round(time.time() - 3600))


@dataclass
class Service:
    """A running service and what it runs on."""

    server: Server
    system: Reelrank
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=20))

    def get(self, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        return self.http.request("GET", self.server.url + path, **options)

    def post(self, body: Any, **headers: str) -> urllib3.BaseHTTPResponse:
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return self.http.request("POST", self.server.url + "/v1/events", body=raw, headers={"Content-Type": "application/json"} | headers)

    def stored(self) -> list[Accepted]:
        log = self.system.log
        return [decode_accepted(record.value) for partition in range(log.partitions) for record in log.read(EVENTS, partition, 0, 100_000)]

    def stored_ids(self) -> list[str]:
        return sorted(accepted.event.event_id for accepted in self.stored())


def published(video_id: str, **more: Any) -> dict[str, Any]:
    video = {"video_id": video_id, "author_id": "author", "duration_s": 10.0, "uploaded_at": UPLOADED_AT, "tags": ["cats"]}
    return {"type": "video_published", "event_id": f"publish {video_id}", "video": video | more}


def watch(event_id: str, video_id: str = "v-1", user_id: str = "ana", **more: Any) -> dict[str, Any]:
    return {"type": "watch", "event_id": event_id, "user_id": user_id, "video_id": video_id, "watched_s": 4.5} | more


def running(folder: Path, media: Path | None = None, storage: StorageConfig | None = None, port: int = 0, **serving: Any) -> Iterator[Service]:
    """A service over a deployment in `folder`; everything is closed afterwards."""
    settings = msgspec.convert({"data_dir": str(folder), "serving": {"media": str(media or folder / "media")} | serving}, Settings)
    system = open_reelrank(msgspec.structs.replace(settings, storage=storage or settings.storage))
    there = threading.Event()
    services = system.services
    server = Server(create_app(services), port=port, shutdown_s=2, ready=lambda _url: there.set(), connections=services.connections)
    thread = threading.Thread(target=server.serve_until_stopped)
    thread.start()
    try:
        assert there.wait(20)
        yield Service(server, system)
    finally:
        server.stop()
        thread.join(20)
        system.close()


def with_videos(services: Iterator[Service]) -> Iterator[Service]:
    for service in services:
        rendition = {"url": "clip.mp4", "bitrate_kbps": 800, "width": 720, "height": 1280}
        assert service.post([published("v-1"), published("v-2"), published("v-3", renditions=[rendition])]).status == 202
        yield service


def within(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits until a condition holds; fails if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)

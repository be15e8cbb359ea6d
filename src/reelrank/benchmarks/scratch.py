"""A system of its own for a measurement: real processes, in a temporary folder, on a free port."""

import re
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import ge
from pathlib import Path
from typing import TypeVar

import msgspec

from reelrank.benchmarks.local_server import free_port
from reelrank.config import Settings
from reelrank.domain.event import VideoPublished
from reelrank.domain.video import Video
from reelrank.simulation.client import FeedClient
from reelrank.storage.event_log import EVENTS, StorageError
from reelrank.supervisor import Supervisor, running
from reelrank.wiring import Reelrank, open_reelrank

Answer = TypeVar("Answer")

_SLATES_WAITING = re.compile(rb"^reelrank_slates_waiting ([0-9.e+]+)", re.MULTILINE)


class TooSlow(Exception):
    """The system did not get to where a measurement waits for it."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """A running system, a client for it, and a look into its storage from outside."""

    supervisor: Supervisor
    client: FeedClient
    inside: Reelrank

    def publish(self, videos: list[Video]) -> None:
        """Fills the catalogue the way an app does."""
        self.client.post_events([VideoPublished(event_id=f"publish-{video.video_id}", occurred_at=video.uploaded_at, video=video) for video in videos])

    def ends(self) -> tuple[int, ...]:
        """Per partition, where the log ends now."""
        log = self.inside.log
        return patiently(lambda: tuple(log.end(EVENTS, partition) for partition in range(log.partitions)))

    def wait_folded(self, within_s: float = 120.0) -> float:
        """Returns once the log as it is now is folded in; the answer is the moment that was seen, in `time.perf_counter` seconds."""
        ends, deadline = self.ends(), time.monotonic() + within_s
        while not (all(map(ge, patiently(self.inside.store.offsets), ends)) and all(map(ge, self.inside.counters.position().origins, ends))):
            if time.monotonic() > deadline:
                users, counters = self.inside.store.offsets(), self.inside.counters.position().origins
                folder = self.supervisor.settings.data_dir
                raise TooSlow(f"users are folded to {users} and counters to {counters} of {ends} after {within_s:.0f} s; see {folder}/logs/stream.log")
            time.sleep(0.001)
        return time.perf_counter()

    def wait_at_rest(self, within_s: float = 120.0) -> None:
        """Returns once nothing is on its way any more, of a system that nobody talks to: slates are written, and everything is folded."""
        deadline = time.monotonic() + within_s
        while True:
            ends = self.ends()
            waiting = sum(_slates_waiting(url, within_s) for url in self.supervisor.replica_urls)
            self.wait_folded(max(1.0, deadline - time.monotonic()))
            if waiting == 0 and self.ends() == ends:
                return
            if time.monotonic() > deadline:
                raise TooSlow(
                    f"slates are still waiting for the log after {within_s:.0f} s; the end of the log of serve:\n{self.supervisor.last_lines('serve')}"
                )
            time.sleep(0.05)


def _slates_waiting(url: str, timeout_s: float) -> float:
    """How many slates of a replica are not in the log yet."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=timeout_s) as answer:
        found = _SLATES_WAITING.search(answer.read())
    return float(found[1]) if found else 0.0


def patiently(question: Callable[[], Answer], within_s: float = 30.0) -> Answer:
    """The answer of a store that may be just coming back: whoever looks from outside waits for it as the system does."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return question()
        except StorageError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextmanager
def scratch_system(settings: Settings | None = None, roles: Sequence[str] = ("stream", "serve"), connections: int = 8, retries: int = 4) -> Iterator[Scratch]:
    """Runs the roles with `settings`, but in a temporary folder and on a free port, and removes the folder afterwards."""
    with tempfile.TemporaryDirectory(prefix="reelrank-bench-", ignore_cleanup_errors=True) as folder:
        settings = in_folder(Path(folder), settings)
        with running(settings, roles) as supervisor, FeedClient(supervisor.url, connections=connections, retries=retries) as client:
            inside = open_reelrank(settings)
            try:
                yield Scratch(supervisor, client, inside)
            finally:
                inside.close()


@contextmanager
def second_replica(system: Scratch) -> Iterator[FeedClient]:
    """Another process that serves the same deployment, at a port of its own."""
    settings = system.supervisor.settings
    serving = msgspec.structs.replace(settings.serving, port=free_port())
    with running(msgspec.structs.replace(settings, serving=serving), roles=("serve",)) as second, FeedClient(second.url, retries=0) as client:
        yield client


def in_folder(folder: Path, settings: Settings | None = None) -> Settings:
    """The settings, moved to `folder` and a port that nobody uses."""
    settings = settings or Settings()
    serving = msgspec.structs.replace(settings.serving, host="127.0.0.1", port=free_port())
    return msgspec.structs.replace(settings, data_dir=str(folder), serving=serving)

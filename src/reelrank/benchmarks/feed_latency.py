"""A feed under load: requests at a steady rate, their latency counted from when each was due, and where the time goes."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families
from urllib3 import PoolManager

from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.scratch import Scratch, scratch_system
from reelrank.config import Settings
from reelrank.domain.event import Event
from reelrank.domain.video import Video
from reelrank.simulation.client import FeedClient, FeedError
from reelrank.simulation.kuairand import KuaiRand, events_in_order
from reelrank.simulation.past import past_events
from reelrank.simulation.replay import bodies_of
from reelrank.simulation.world import World

KUAIRAND_VIDEOS = 7_583
_LAST_EXPOSURES = 15_000  # of the real log, so that something is trending
_HISTORIES_AT_ONCE = 250
_INDEX_WITHIN_S = 3.0  # the feed looks for a new index every second
_EVENTS_EACH = 20  # in the past of a generated user
_STAGES = "reelrank_feed_stage_seconds"


class _Past(NamedTuple):
    """What the system knows before the first request."""

    source: str
    videos: list[Video]
    events: list[Event]
    user_ids: list[str]
    now: float


def measure(
    videos: int | None = None, users: int = 2_000, rate: float = 20.0, seconds: float = 15.0, connections: int = 16, count: int = 10, seed: int = 0,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Asks for `rate` feeds a second, whether or not the earlier ones are answered; rate 0 asks again as soon as there is an answer."""
    rng = np.random.default_rng(seed)
    past = _real_past(users) if videos is None else None
    past = past or _generated_past(videos or KUAIRAND_VIDEOS, users, seed)
    settings = Settings(clock_shift_s=past.now - time.time())
    with scratch_system(settings, connections=connections, retries=0) as system:
        system.publish(past.videos)
        for body in bodies_of(past.events, _HISTORIES_AT_ONCE):
            system.client.post_raw(body.content)
        system.wait_folded()
        index = system.inside.index_builder.build()
        asked = rng.choice(past.user_ids, size=max(1, round((rate or 1_000) * seconds))).tolist()
        _warm_up(system, asked[:50], count)
        stages_before = _stage_seconds(system.supervisor.url)
        load = _Load(system.client, asked, rate, seconds, count, on_progress)
        took_s = load.run(connections)
        stages = _stage_ms(stages_before, _stage_seconds(system.supervisor.url))
        peak_mib = _peak_mib(system.supervisor.pid("serve"))
    return {
        "requests": len(load.latency_ms),
        "requests_per_s": round(len(load.latency_ms) / took_s, 1),
        "latency_ms": spread(load.latency_ms),
        "errors": load.errors,
        "degraded": sum(load.degraded.values()),
        "degraded_parts": dict(load.degraded),
        "stage_ms": stages,
        "peak_mib": peak_mib,
        "data": past.source,
        "videos": len(past.videos),
        "users": len(past.user_ids),
        "past_events": len(past.events),
        "index": index,
        "rate": rate,
        "seconds": seconds,
        "connections": connections,
        "count": count,
        "seed": seed,
    }


class _Load:
    """Threads that ask for feeds. With a rate, request i is due at i / rate, and its latency begins there."""

    def __init__(self, client: FeedClient, user_ids: Sequence[str], rate: float, seconds: float, count: int, on_progress: Callable[[int], None]) -> None:
        self._client = client
        self._user_ids = user_ids
        self._rate = rate
        self._seconds = seconds
        self._count = count
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._next = 0
        self._began = 0.0
        self.latency_ms: list[float] = []
        self.errors = 0
        self.degraded: Counter[str] = Counter()

    def run(self, connections: int) -> float:
        """Returns the seconds it took until the last answer."""
        self._began = time.perf_counter()
        threads = [threading.Thread(target=self._ask, name=f"feeds-{place}") for place in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - self._began

    def _ask(self) -> None:
        while True:
            with self._lock:
                number = self._next
                self._next += 1
            if self._rate:
                if number >= len(self._user_ids):
                    return
                due = self._began + number / self._rate
                time.sleep(max(0.0, due - time.perf_counter()))
            else:
                due = time.perf_counter()
                if due - self._began >= self._seconds:
                    return
            self._ask_one(self._user_ids[number % len(self._user_ids)], due)

    def _ask_one(self, user_id: str, due: float) -> None:
        try:
            answer = self._client.feed(user_id, self._count)
        except FeedError:
            answer = None
        took_ms = (time.perf_counter() - due) * 1000
        with self._lock:
            if answer is None:
                self.errors += 1
            else:
                self.latency_ms.append(took_ms)
                self.degraded.update(answer["degraded"])
            self._on_progress(1)


def _real_past(users: int) -> _Past | None:
    """KuaiRand's catalogue, some users' histories and the end of its log; None where the data set is not at hand."""
    folder = os.environ.get("REELRANK_DATA")
    if not folder or not (Path(folder) / "kuairand-pure").is_dir():
        return None
    data = KuaiRand(Path(folder) / "kuairand-pure")
    exposures = data.exposures(last=_LAST_EXPOSURES)
    histories = data.histories()[-users:]
    events: list[Event] = [*histories, *events_in_order(exposures)]
    return _Past("kuairand-pure", data.videos(), events, [history.user_id for history in histories], int(exposures.ended_ms.max()) / 1000)


def _generated_past(videos: int, users: int, seed: int) -> _Past:
    now = time.time()
    world = World.from_seed(seed, videos=videos, users=users, authors=max(2, videos // 5), now=now)
    events = past_events(world, np.random.default_rng(seed), now, events=_EVENTS_EACH * users, days=2.0)
    return _Past("generated", list(world.videos), events, [traits.user_id for traits in world.people], now)


def _warm_up(system: Scratch, user_ids: Sequence[str], count: int) -> None:
    """A few feeds, and until the index is read: what follows is the steady state."""
    deadline = time.monotonic() + _INDEX_WITHIN_S
    indexed = False
    for user_id in user_ids:
        indexed |= any("co_watched" in video["sources"] for video in system.client.feed(user_id, count)["videos"])
    while not indexed and time.monotonic() < deadline:
        time.sleep(0.1)
        indexed = any("co_watched" in video["sources"] for video in system.client.feed(user_ids[0], count)["videos"])


def _stage_seconds(url: str) -> dict[str, NDArray[np.float64]]:
    """Per stage of the feed, the seconds it took in all and how often it ran."""
    text = PoolManager().request("GET", f"{url}/metrics").data.decode()
    found: dict[str, NDArray[np.float64]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            place = {f"{_STAGES}_sum": 0, f"{_STAGES}_count": 1}.get(sample.name)
            if place is not None:
                found.setdefault(sample.labels["stage"], np.zeros(2))[place] = sample.value
    return found


def _stage_ms(before: dict[str, NDArray[np.float64]], after: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    """The mean milliseconds of each stage in between, in the order of the feed."""
    spent = {stage: figures - before.get(stage, np.zeros(2)) for stage, figures in after.items()}
    return {stage: round(float(seconds / times * 1000), 3) for stage, (seconds, times) in spent.items() if times}


def _peak_mib(pid: int) -> float | None:
    """The most memory a process has had, where the system tells."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return next((round(int(line.split()[1]) / 1024, 1) for line in status.splitlines() if line.startswith("VmHWM")), None)

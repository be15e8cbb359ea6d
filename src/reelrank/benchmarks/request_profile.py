"""Where the CPU time of one feed request goes: a serving process that is asked for one slate after the other, and looked at meanwhile."""

import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import quote

import msgspec
import numpy as np
from urllib3 import PoolManager

from reelrank.benchmarks.cpu_stacks import Stack
from reelrank.benchmarks.feed_latency import Caches, serving_settings, world_in
from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.processes import run_ms
from reelrank.benchmarks.request_parts import by_part
from reelrank.benchmarks.sampled_process import Used
from reelrank.config import Settings, as_environment
from reelrank.supervisor import SERVING, is_ready

Milliseconds = Mapping[Stack, float]

_WARM_UP = 300  # requests
_READY_WITHIN_S = 180.0
_SKEW = 1.0  # Zipf's exponent, as under load
_BEGINS_AFTER = {"Handle._run", "Runner.run", "_WorkItem.run", "Thread.run"}  # what leads there is the same for all
_THREADS = {"MainThread": "HTTP", "feed": "the feed", "source": "the feed", "served-log": "the slate into the log"}
_HANDS_OVER = ("reelrank.pipeline.runner", "_Round.run")  # to threads that ask sources


class Profile(NamedTuple):
    """One request as it is on average."""

    ms: Milliseconds  # of CPU by stack, the thread outermost
    numbers: dict[str, Any]


def measure(
    videos: int = 20_000, users: int = 2_000, requests: int = 500, caches: Caches = "off", count: int = 10, seed: int = 0, folder: Path | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Profile:  # fmt: skip
    """Asks one serving process for `requests` slates, of users drawn by Zipf's law, each when the one before is there. `folder` keeps the world."""
    with world_in(folder, videos, users, seed, on_progress) as (home, world):
        settings = serving_settings(world, home, caches, 1)
        url = f"http://{settings.serving.host}:{settings.serving.port}/v1/feed?count={count}&user_id="
        ids, http, rng = world.user_ids(), PoolManager(), np.random.default_rng(seed)
        weights = 1.0 / np.arange(1, len(ids) + 1) ** _SKEW
        drawn = rng.choice(rng.permutation(len(ids)), size=_WARM_UP + requests, p=weights / weights.sum()).tolist()
        with _sampled(settings) as (process, answer):
            for user in drawn[:_WARM_UP]:
                _ask(http, url + quote(ids[user]))
            before, took_ms = _say(process, b"begin\n"), list[float]()
            for user in drawn[_WARM_UP:]:
                took_ms.append(_ask(http, url + quote(ids[user])))
                on_progress(1)
            spent_ms = (_say(process, b"end\n") - before) / requests
            used = _used(answer, home)
    ms, beside = _of_a_request(used, requests)
    return Profile(
        ms,
        {
            "cpu_ms": round(sum(ms.values()), 2),
            "part_ms": {part: round(took, 3) for part, took in by_part(ms).items()},
            "beside_ms": round(beside, 2),
            "process_ms": round(spent_ms, 2),
            "latency_ms": spread(took_ms),
            "requests": requests,
            "caches": caches,
            "videos": videos,
            "users": users,
            "count": count,
            "seed": seed,
        },
    )


def _ask(http: PoolManager, url: str) -> float:
    """How many milliseconds the answer took."""
    began = time.perf_counter()
    slate = http.request("GET", url)
    assert slate.status == 200, slate.data
    return (time.perf_counter() - began) * 1000


def _used(answer: IO[bytes], home: Path) -> list[Used]:
    """What was seen. Raises RuntimeError with the end of the replica's log if it could not look."""
    told = answer.read()
    if not told:
        raise RuntimeError(f"the replica could not look at its own stacks; the end of its log:\n{_last_of(_log_in(home))}")
    return msgspec.json.decode(told, type=list[Used])


def _log_in(home: str | Path) -> Path:
    return Path(home) / "logs" / "sampled.log"


def _last_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2_000:]


def _say(process: subprocess.Popen[bytes], what: bytes) -> float:
    """Says it, and returns the milliseconds of CPU that the process has used so far."""
    assert process.stdin is not None
    process.stdin.write(what)
    process.stdin.flush()
    return run_ms(process.pid)


@contextmanager
def _sampled(settings: Settings) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A replica that is ready, and where what was seen of it will be read."""
    read, write = os.pipe()
    log = _log_in(settings.data_dir)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "reelrank.benchmarks.sampled_process", str(write), "reelrank.cli", "serve"]
    environment = {**SERVING, **os.environ, **as_environment(settings), "REELRANK_SUPERVISED": str(os.getpid())}
    with (
        open(read, "rb") as answer,
        log.open("wb") as written,
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=written, stderr=subprocess.STDOUT, pass_fds=[write]) as process,
    ):
        os.close(write)
        try:
            deadline = time.monotonic() + _READY_WITHIN_S
            while not is_ready(f"http://{settings.serving.host}:{settings.serving.port}"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the replica did not come up; the end of its log:\n{_last_of(log)}")
                time.sleep(0.05)
            yield process, answer
        finally:
            process.kill()


def _of_a_request(used: list[Used], requests: int) -> tuple[Milliseconds, float]:
    """What a request takes by stack, and what threads take that have nothing to do with it."""
    ms, beside = defaultdict[Stack, float](float), 0.0
    handed_over = _way_to(_HANDS_OVER, used)
    for one in used:
        thread = re.sub(r"_\d+$", "", one.thread)
        took = one.seconds * 1000 / requests
        if thread not in _THREADS:
            beside += took
            continue
        stack = _legible(one.stack)
        ms[(("", _THREADS[thread]), *(handed_over if thread == "source" else ()), *stack)] += took
    return ms, beside


def _way_to(function: tuple[str, str], used: list[Used]) -> Stack:
    """How the feed gets to a function; nothing if it never does."""
    for one in used:
        stack = _legible(one.stack)
        if one.thread.startswith("feed") and function in stack:
            return stack[: stack.index(function) + 1]
    return ()


def _legible(stack: Stack) -> Stack:
    """Without what leads to where the work begins and the loops within a function, and with one frame for calls of a library within itself."""
    begins = max((place + 1 for place, (_, name) in enumerate(stack) if name in _BEGINS_AFTER), default=0)
    kept: list[tuple[str, str]] = []
    for module, name in stack[begins:]:
        package = module.partition(".")[0]
        if name.endswith(">"):  # <listcomp>, <genexpr>, <lambda>
            continue
        if package == "reelrank" or not kept or kept[-1][0].partition(".")[0] != package:
            kept.append((module, name))
    return tuple(kept)

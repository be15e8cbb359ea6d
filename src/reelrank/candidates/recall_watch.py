"""RecallWatch: how much of what lies nearest live searches find, looked up afterwards for a few of them, in a thread of its own."""

import logging
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from reelrank.candidates.frozen_vectors import NEAREST
from reelrank.candidates.row_bits import Bits
from reelrank.candidates.vector_index import VectorIndex
from reelrank.domain.arrays import Floats, Rows

logger = logging.getLogger(__name__)

_WAITING = 16  # searches at most; while so many wait, others are not looked up
_LATELY = 500  # searches that the mean is taken over


@dataclass(frozen=True, slots=True)
class Search:
    """One search, as it can be done again: an index only grows."""

    index: VectorIndex
    query: Floats
    count: int
    without: Rows
    only: Bits

    def found(self, everywhere: bool = False) -> tuple[Rows, Floats]:
        """The rows nearest to the query, and their inner products."""
        return self.index.nearest(self.query, self.count, self.without, self.only, everywhere)


class Recall(NamedTuple):
    """What came of the searches of one source."""

    looked_up: int
    lately: float  # mean share of the nearest (at most a hundred) that was found, over the last searches
    left_out: int  # sampled, but too many waited


@dataclass(slots=True)
class _Looked:
    """What was looked up of one source."""

    lately: deque[float] = field(default_factory=lambda: deque(maxlen=_LATELY))
    times: int = 0
    left_out: int = 0


class RecallWatch:
    """Compares a `share` of all searches with exact ones, on at most `cpu` of a core (0..1)."""

    def __init__(self, share: float, cpu: float) -> None:
        self._share = share
        self._cpu = cpu
        self._waiting: queue.Queue[tuple[str, Search, Rows]] = queue.Queue(_WAITING)
        self._of: dict[str, _Looked] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def offer(self, name: str, search: Search, found: Rows, rng: np.random.Generator) -> None:
        """Takes note of a search and what it found, now and then. Never waits."""
        if rng.random() >= self._share or self._closed.is_set():
            return
        self._begin()
        try:
            self._waiting.put_nowait((name, search, found))
        except queue.Full:
            with self._lock:
                self._of.setdefault(name, _Looked()).left_out += 1

    def told(self) -> dict[str, Recall]:
        """Per source of which something was looked up."""
        with self._lock:
            return {name: Recall(of.times, float(np.mean(of.lately)), of.left_out) for name, of in self._of.items() if of.times}

    def wait(self) -> None:
        """Returns when all that was taken note of is looked up."""
        self._waiting.join()

    def close(self) -> None:
        """Looks nothing up any more."""
        self._closed.set()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._look_up, name="recall", daemon=True)
                self._thread.start()

    def _look_up(self) -> None:
        while not self._closed.is_set():
            try:
                one = self._waiting.get(timeout=1.0)
            except queue.Empty:
                continue
            began = time.thread_time()
            try:
                self._compare(*one)
            except Exception:
                logger.exception("the recall of %s could not be looked up", one[0])
            self._waiting.task_done()
            self._closed.wait((time.thread_time() - began) * (1 / self._cpu - 1))

    def _compare(self, name: str, search: Search, found: Rows) -> None:
        nearest = search.found(everywhere=True)[0][:NEAREST]
        if len(nearest):
            with self._lock:
                of = self._of.setdefault(name, _Looked())
                of.lately.append(float(np.isin(nearest, found).mean()))
                of.times += 1

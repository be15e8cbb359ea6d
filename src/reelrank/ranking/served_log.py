"""The side effect of every feed: the slate goes to the event log as it was scored, without delaying the answer."""

import logging
import queue
import threading
import time

import numpy as np

from reelrank.domain.event import Accepted, Served, encode_accepted
from reelrank.storage.event_log import EVENTS, EventLog, Record, StorageError, partition_of

logger = logging.getLogger(__name__)

_AT_ONCE = 500


class ServedLog:
    """Appends slates from a thread of its own. While the log is away they wait, at most `room` of them; more are dropped and counted."""

    def __init__(self, log: EventLog, room: int = 10_000) -> None:
        self._log = log
        self._waiting: queue.Queue[Record | None] = queue.Queue(maxsize=room)  # None = stop
        self._thread = threading.Thread(target=self._run, name="served-log", daemon=True)
        self._thread.start()
        self.dropped = 0

    def record(self, served: Served, now: float) -> None:
        """Hands a slate over; returns at once."""
        record = Record(served.key, encode_accepted(Accepted(served, received_at=now, occurred_at=now)))
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def flush(self) -> None:
        """Returns when everything handed over so far is in the log, or was given up."""
        self._waiting.join()

    def close(self) -> None:
        """Writes what is waiting and stops."""
        self._waiting.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        running = True
        while running:
            taken = [self._waiting.get()]
            while len(taken) < _AT_ONCE and not self._waiting.empty():
                taken.append(self._waiting.get_nowait())
            running = None not in taken
            self._append([record for record in taken if record is not None])
            for _ in taken:
                self._waiting.task_done()

    def _append(self, records: list[Record]) -> None:
        for pause_s in (0.1, 0.5, 2.0, None):
            try:
                self._log.append(EVENTS, records)
                return
            except StorageError as problem:
                if pause_s is None:
                    self.dropped += len(records)
                    logger.error("dropped %d served slates: %s", len(records), problem)
                else:
                    time.sleep(pause_s)


def new_request_id(user_id: str, now: float, partitions: int, rng: np.random.Generator) -> str:
    """A name for a slate that says where the log holds it: partition, milliseconds, and enough chance to be the only one."""
    return f"{partition_of(user_id, partitions):x}-{int(now * 1000):x}-{int(rng.integers(2**48)):012x}"


def parse_request_id(request_id: str) -> tuple[int, float] | None:
    """The partition of a slate and when it was served (UTC seconds); None if this is no request id."""
    parts = request_id.split("-")
    if len(parts) != 3 or len(parts[2]) != 12 or not all(part.isalnum() and part.isascii() for part in parts):
        return None
    try:
        return int(parts[0], 16), int(parts[1], 16) / 1000
    except ValueError:
        return None

"""The side effect of every feed: the slate goes to the event log as it was scored, without delaying the answer."""

import hmac
import logging
import queue
import secrets
import threading
import time

from reelrank.domain.event import Accepted, Served, encode_accepted
from reelrank.events.rights import slate_mac
from reelrank.storage.event_log import EVENTS, EventLog, Record, StorageError, partition_of

logger = logging.getLogger(__name__)

_AT_ONCE = 500
_LATE_S = 1.0  # an append that takes longer may never end
_CHANCE_BYTES = 6
_PARTS = (3, 4)  # of a request id: those of older logs do not end with what proves them
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0  # between two attempts while the log is away


class ServedLog:
    """Appends slates from a thread of its own. While the log is away they wait, at most `room` of them; more are dropped and counted."""

    def __init__(self, log: EventLog, room: int = 10_000) -> None:
        self._log = log
        self._waiting: queue.Queue[Record | None] = queue.Queue(maxsize=room)  # None = wake up
        self._closing = threading.Event()
        self._give_up_at = 0.0  # in `time.monotonic` seconds, once it is closing
        self._thread = threading.Thread(target=self._run, name="served-log", daemon=True)
        self._thread.start()
        self.dropped = 0
        self._began_at: float | None = None  # the attempt that is under way, in `time.monotonic` seconds
        self._failed = False  # the latest attempt

    @property
    def away(self) -> bool:
        """Whether the log takes nothing just now, as far as anybody has noticed."""
        began_at = self._began_at
        return self._failed or (began_at is not None and time.monotonic() - began_at > _LATE_S)

    @property
    def waiting(self) -> int:
        """How many slates are not in the log yet."""
        return self._waiting.unfinished_tasks

    def record(self, served: Served, now: float) -> None:
        """Hands a slate over; returns at once."""
        if self._waiting.full():  # then there is nothing to encode it for
            self.dropped += 1
            return
        record = Record(served.key, encode_accepted(Accepted(served, received_at=now, occurred_at=now)))
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def flush(self) -> None:
        """Returns when everything handed over so far is in the log, or was given up."""
        self._waiting.join()

    def close(self, within_s: float = 5.0) -> None:
        """Writes what is waiting and stops; what can't be written within `within_s` is dropped."""
        self._give_up_at = time.monotonic() + within_s
        self._closing.set()
        try:
            self._waiting.put_nowait(None)
        except queue.Full:  # then it is awake
            pass
        self._thread.join(timeout=2 * within_s)

    def _run(self) -> None:
        while not (self._closing.is_set() and self._waiting.empty()):
            taken = [self._waiting.get()]
            while len(taken) < _AT_ONCE and not self._waiting.empty():
                taken.append(self._waiting.get_nowait())
            self._append([record for record in taken if record is not None])
            for _ in taken:
                self._waiting.task_done()

    def _append(self, records: list[Record]) -> None:
        """Tries until it is done or there is no more time: what is on its way here waits meanwhile."""
        pause_s = _FIRST_PAUSE_S
        while records:
            self._began_at = time.monotonic()
            try:
                self._log.append(EVENTS, records)
                self._failed = False
                return
            except StorageError as problem:
                self._failed = True
                if self._closing.is_set() and time.monotonic() >= self._give_up_at:
                    self.dropped += len(records)
                    logger.error("dropped %d served slates: %s", len(records), problem)
                    return
                if pause_s == _FIRST_PAUSE_S:
                    logger.warning("%d served slates wait for the log: %s", len(records), problem)
            finally:
                self._began_at = None
            # while it is closing the event is set, and waiting for it would not pause
            time.sleep(pause_s) if self._closing.is_set() else self._closing.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def new_request_id(user_id: str, now: float, partitions: int, secret: bytes, asked_as: str = "") -> str:
    """A name for a slate that says where the log holds it: partition, milliseconds, and enough chance to be the only one; and, by its end, that it is ours.

    A slate that was asked for under an id of the request's own has the same name whenever and wherever that is asked again, as of the same moment.
    """
    chance = hmac.digest(secret, f"asked as {asked_as}\n{user_id}".encode(), "sha256")[:_CHANCE_BYTES].hex() if asked_as else secrets.token_hex(_CHANCE_BYTES)
    name = f"{partition_of(user_id, partitions):x}-{round(now * 1000):x}-{chance}"
    return f"{name}-{slate_mac(secret, user_id, name)}"


def parse_request_id(request_id: str) -> tuple[int, float] | None:
    """The partition of a slate and when it was served (UTC seconds); None if this is no request id."""
    parts = request_id.split("-")
    if len(parts) not in _PARTS or len(parts[2]) != 2 * _CHANCE_BYTES or not all(part.isalnum() and part.isascii() for part in parts):
        return None
    try:
        return int(parts[0], 16), int(parts[1], 16) / 1000
    except ValueError:
        return None


def seed_in(request_id: str) -> int:
    """The chance in a request id, for the draws of its slate: who asks the same again is dealt the same again."""
    return int(request_id.split("-")[2], 16)

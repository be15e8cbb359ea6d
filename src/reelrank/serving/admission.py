"""Who may come in: a request is refused before anything is read or done for it once too much is under way, or it would wait too long."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from reelrank.serving.answers import Refuse

REASONS = ("number", "bytes", "wait")  # of what there may be too much
RETRY = {"Retry-After": "1"}
_REMEMBERED_S = 1.0  # of busy time the latest second tells how fast work is done


class Door:
    """The work behind one route: how much of it there is, and how long what comes next would wait. For the event loop's thread alone.

    Refuses when `at_most` pieces of work wait, when `max_bytes` of bodies are held, or when the wait would be
    longer than `max_wait_s` and more than `always` pieces are there.
    """

    def __init__(self, name: str, at_most: int, max_wait_s: float, always: int, max_bytes: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._at_most = at_most
        self._max_wait_s = max_wait_s
        self._always = always
        self._max_bytes = max_bytes
        self._clock = clock
        self.waiting = 0
        self.held_bytes = 0
        self.lag_s = 0.0  # how late the event loop is at the moment: it delays a request before it is seen, and its answer
        self.shed: Counter[str] = Counter()  # by what there was too much of
        self._waiting_size = 0
        self._looked_at = self._finished_at = clock()
        self._busy_s = 0.0  # seconds in which there was something to do …
        self._done = 0.0  # … and how much was done in them

    def refusal(self) -> str | None:
        """Why nothing more may come in, None if it may."""
        if self.waiting >= self._at_most:
            return self._shed("number", f"{self.waiting} of these requests are under way, which is all that may")
        if self.waiting >= self._always and (wait_s := self.expected_wait_s + 2 * self.lag_s) > self._max_wait_s:
            return self._shed("wait", f"this request would have to wait for {wait_s:.2g} s")
        return None

    def check(self) -> None:
        """Raises Refuse when nothing more may come in."""
        if (reason := self.refusal()) is not None:
            raise Refuse(429, reason, RETRY)

    def hold(self, size: int) -> None:
        """Room for so many bytes of a body, until `release`. Raises Refuse when there is none."""
        if self.held_bytes and self.held_bytes + size > self._max_bytes:  # one body always has room
            raise Refuse(429, self._shed("bytes", f"the requests that are under way have {self.held_bytes:,} bytes, and this one would be too much"), RETRY)
        self.held_bytes += size

    def release(self, size: int) -> None:
        """The bytes are not held any more."""
        self.held_bytes -= size

    def begin(self, size: int = 1) -> None:
        """Work of this size is there to be done; sizes are in a unit that time grows with."""
        self._look()
        self.waiting += 1
        self._waiting_size += size

    def finish(self, size: int = 1) -> None:
        """It is done."""
        self._look()
        self._finished_at = self._looked_at
        self.waiting -= 1
        self._waiting_size -= size
        self._done += size
        if self._busy_s > _REMEMBERED_S:
            self._busy_s, self._done = self._busy_s / 2, self._done / 2

    @property
    def expected_wait_s(self) -> float:
        """How long work that comes now would wait: as long as nothing has been finished, or as what is there takes at the pace of late."""
        if not self.waiting:
            return 0.0
        since_s = self._clock() - self._looked_at
        stalled_s = self._looked_at + since_s - self._finished_at
        return max(stalled_s, self._waiting_size * (self._busy_s + since_s) / self._done if self._done else 0.0)

    def _look(self) -> None:
        now = self._clock()
        if self.waiting:
            self._busy_s += now - self._looked_at
        else:
            self._finished_at = now  # nobody has waited so far
        self._looked_at = now

    def _shed(self, reason: str, why: str) -> str:
        self.shed[reason] += 1
        return f"{why}; send it again after Retry-After seconds"


@dataclass
class Connections:
    """What a server lets its connections do, and how many it had to let go."""

    at_most: int = 2_000
    head_within_s: float = 10.0  # from the first byte of a request (or from connecting) to the end of its headers
    body_within_s: float = 15.0
    take_within_s: float = 60.0  # for the client to take anything of an answer that is waiting for it
    open: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)  # they were one too many
    given_up: int = field(default=0, init=False)  # they were too slow

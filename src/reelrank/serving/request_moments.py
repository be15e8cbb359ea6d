"""When a request was first made: a repeat of it belongs to that moment, whichever replica it comes to."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple
from uuid import UUID

from reelrank.ranking.answered import REPEATED_WITHIN_S

_AHEAD_S = 1.0  # that another machine's clock may run
_REMEMBERED = 10_000
_MAX_ID_CHARS = 128


class Asked(NamedTuple):
    """A request by its own id, empty if it has none, and when it was made (UTC seconds, to the millisecond if it has an id)."""

    id: str
    at: float


class RequestMoments:
    """Reads the headers X-Request-Id and X-Request-Start. For the event loop's thread alone.

    The moment is told by the id itself (a UUID of version 7, RFC 9562), or it is when this process saw the id first, or what the proxy says
    (X-Request-Start: milliseconds), or now; the first of these that lies within the last minute. So every attempt of a proxy, and every repeat
    of an id that tells its time, has the same moment everywhere, and any other repeat has it as long as it comes to the same process.
    """

    def __init__(self, now: Callable[[], float], shift_s: float = 0.0) -> None:
        """`now` is the clock of the feed, which runs `shift_s` ahead of the ids' and the proxy's."""
        self._now = now
        self._shift_s = shift_s
        self._first_seen: OrderedDict[tuple[str, str], float] = OrderedDict()

    def of(self, user_id: str, headers: Mapping[str, str]) -> Asked:
        """The request that a user made. An id that is too long, or not printable ASCII, is none."""
        now = self._now()
        request_id = headers.get("x-request-id", "").strip()
        if not request_id or len(request_id) > _MAX_ID_CHARS or not (request_id.isascii() and request_id.isprintable()):
            return Asked("", now)
        key = (user_id, request_id)
        told = (_told_by(request_id), self._first_seen.get(key), _milliseconds(headers.get("x-request-start", "")))
        shifted = (None if at is None else at if place == 1 else round(at + self._shift_s, 3) for place, at in enumerate(told))
        at = next((at for at in shifted if at is not None and now - REPEATED_WITHIN_S < at < now + _AHEAD_S), round(now, 3))
        self._first_seen[key] = at
        if len(self._first_seen) > _REMEMBERED:
            self._first_seen.popitem(last=False)
        return Asked(request_id, at)


def _told_by(request_id: str) -> float | None:
    """The moment in a UUID of version 7."""
    try:
        told = UUID(request_id)
    except ValueError:
        return None
    return (told.int >> 80) / 1000 if told.version == 7 else None


def _milliseconds(text: str) -> float | None:
    return int(text) / 1000 if text.isdecimal() and text.isascii() and len(text) <= 15 else None

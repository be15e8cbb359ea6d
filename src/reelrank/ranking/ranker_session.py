"""The ranker's session with each active user: their history stays encoded from one request to the next, and grows as events arrive."""

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reelrank.features.tokens import Tokens
from reelrank.models.ranker_inputs import VideoTraits

if TYPE_CHECKING:
    from reelrank.models.sessions import EncodedHistory, RankerSession

_OVERHEAD_BYTES = 1_024  # of an entry, beside its arrays


@dataclass(frozen=True, slots=True)
class _Kept:
    history: "EncodedHistory"
    of: "weakref.ref[RankerSession]"  # an entry doesn't keep a version alive that is no longer served
    updates: int  # of the session, that the oldest of its keys have seen
    since: float  # UTC seconds, when these were made

    @property
    def nbytes(self) -> int:
        return self.history.nbytes + _OVERHEAD_BYTES


class KeptHistories:
    """Encoded histories of the users who asked last, at most so many bytes of them. Safe to use from several threads.

    What is taken over was encoded by the same loaded version from the very same tokens: a history that changed otherwise than by
    growing (something came late, or was taken back) is encoded anew where it differs. Rows that are learned while a version serves
    reach candidates at once, and kept histories within `stale_after_s` seconds: older keys are not taken over if any row changed since.
    """

    def __init__(self, at_most_bytes: int, stale_after_s: float) -> None:
        """With `at_most_bytes` 0 nothing is kept."""
        self.taken_over = 0  # histories of which nothing had to be encoded
        self.grown = 0  # histories of which a part had to be
        self.encoded = 0  # histories that were encoded whole
        self.nbytes = 0
        self._at_most_bytes = at_most_bytes
        self._stale_after_s = stale_after_s
        self._entries: OrderedDict[str, _Kept] = OrderedDict()  # who asked last comes last
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def encode(self, session: "RankerSession", user_id: str, tokens: Tokens, traits: VideoTraits, now: float) -> "EncodedHistory":
        """As `session.encode` of the tokens of one user at the moment `now` (UTC seconds)."""
        updates = session.updates  # before anything is encoded: rows that change meanwhile count as unseen
        before = self._usable(user_id, session, updates, now)
        history = session.encode(tokens, traits, None if before is None else before.history)
        if len(history) == 0:
            return history
        with self._lock:
            if history.fresh == len(history):
                before = None
                self.encoded += 1
            elif history.fresh:
                self.grown += 1
            else:
                self.taken_over += 1
            seen = (updates, now) if before is None else (before.updates, before.since)
            self._keep(user_id, _Kept(history, weakref.ref(session), *seen))
        return history

    def clear(self) -> None:
        """Forgets everybody."""
        with self._lock:
            self._entries.clear()
            self.nbytes = 0

    def _usable(self, user_id: str, session: "RankerSession", updates: int, now: float) -> _Kept | None:
        kept = self._entries.get(user_id)
        if kept is None or kept.of() is not session:
            return None
        return kept if kept.updates == updates or abs(now - kept.since) <= self._stale_after_s else None

    def _keep(self, user_id: str, kept: _Kept) -> None:
        if kept.nbytes > self._at_most_bytes:
            return
        before = self._entries.pop(user_id, None)
        self.nbytes += kept.nbytes - (0 if before is None else before.nbytes)
        self._entries[user_id] = kept
        while self.nbytes > self._at_most_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.nbytes -= oldest.nbytes

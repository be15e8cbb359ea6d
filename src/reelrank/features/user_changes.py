"""What a batch of events adds to one user's record."""

from collections.abc import Sequence

from reelrank.features import sequences
from reelrank.features.controls import StoredWish, merge_wishes
from reelrank.features.windows import Counter


class UserChanges:
    """What a batch adds to one user's record."""

    __slots__ = ("authors", "base", "bounds", "counts", "place", "reset_ms", "seen", "served", "signals", "watches", "wishes")

    def __init__(self) -> None:
        self.watches: list[bytes] = []
        self.signals: list[bytes] = []
        self.authors: list[bytes] = []
        self.served: list[bytes] = []
        self.seen: list[int] = []
        self.counts: list[tuple[float, Sequence[tuple[Counter, int]]]] = []  # of each event: UTC seconds, what it counts
        self.base: list[tuple[float, int, int]] = []  # of each base state: UTC seconds, watches, long ones of these
        self.place: tuple[int, str] = (0, "")  # the newest one named: milliseconds, name
        self.wishes: list[StoredWish] = []
        self.bounds: bytes = b""
        self.reset_ms = 0  # of the newest reset

    def applied_to(self, stored: bytes | None, history: int) -> bytes:
        """The record with these changes."""
        before = sequences.EMPTY if stored is None else sequences.decode_record(stored)
        if self.reset_ms > before.reset_ms:
            before = sequences.reset(before, self.reset_ms)
        if before.reset_ms:
            self._forget(before.reset_ms)
        watches, pushed_out = sequences.merge_watches(before.watches, self.watches, history)
        counted = [one for _, increments in self.counts for one in increments]
        return sequences.encode_record(
            sequences.UserRecord(
                watches=watches,
                signals=sequences.merge_signals(before.signals, self.signals, sequences.KEEP_SIGNALS) if self.signals else before.signals,
                authors=sequences.merge_authors(before.authors, self.authors) if self.authors else before.authors,
                served=sequences.merge_served(before.served, self.served),
                seen=sequences.merge_seen(before.seen, self.seen) if self.seen else before.seen,
                counts=sequences.merge_counts(before.counts, counted) if counted else before.counts,
                place=max(before.place, sequences.place_entry(*self.place)) if self.place[1] else before.place,
                long_views=sequences.merge_long_views(before.long_views, pushed_out),
                base=(before.base[0] + sum(one[1] for one in self.base), before.base[1] + sum(one[2] for one in self.base)),
                wishes=merge_wishes(before.wishes, self.wishes) if self.wishes else before.wishes,
                bounds=max(before.bounds, self.bounds),
                reset_ms=before.reset_ms,
            )
        )

    def _forget(self, reset_ms: int) -> None:
        """Leaves out what came late: it happened before a reset."""
        self.watches = sequences.since(self.watches, reset_ms)
        self.signals = sequences.since(self.signals, reset_ms)
        self.counts = [one for one in self.counts if sequences.milliseconds(one[0]) > reset_ms]
        self.base = [one for one in self.base if sequences.milliseconds(one[0]) > reset_ms]

"""What a batch of events adds to one user's record."""

from reelrank.features import sequences
from reelrank.features.windows import Counter


class UserChanges:
    """What a batch adds to one user's record."""

    __slots__ = ("authors", "base", "counts", "place", "seen", "served", "signals", "watches")

    def __init__(self) -> None:
        self.watches: list[bytes] = []
        self.signals: list[bytes] = []
        self.authors: list[bytes] = []
        self.served: list[bytes] = []
        self.seen: list[int] = []
        self.counts: list[tuple[Counter, int]] = []
        self.base: tuple[int, int] = (0, 0)  # watches of a base state, long ones of these
        self.place: tuple[int, str] = (0, "")  # the newest one named: milliseconds, name

    def applied_to(self, stored: bytes | None, history: int) -> bytes:
        """The record with these changes."""
        before = sequences.EMPTY if stored is None else sequences.decode_record(stored)
        watches, pushed_out = sequences.merge_watches(before.watches, self.watches, history)
        return sequences.encode_record(
            sequences.UserRecord(
                watches=watches,
                signals=sequences.merge_signals(before.signals, self.signals, sequences.KEEP_SIGNALS) if self.signals else before.signals,
                authors=sequences.merge_signals(before.authors, self.authors, sequences.KEEP_AUTHORS) if self.authors else before.authors,
                served=sequences.merge_served(before.served, self.served),
                seen=sequences.merge_seen(before.seen, self.seen) if self.seen else before.seen,
                counts=sequences.merge_counts(before.counts, self.counts) if self.counts else before.counts,
                place=max(before.place, sequences.place_entry(*self.place)) if self.place[1] else before.place,
                long_views=sequences.merge_long_views(before.long_views, pushed_out),
                base=(before.base[0] + self.base[0], before.base[1] + self.base[1]),
            )
        )

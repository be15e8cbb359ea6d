"""The stream: folds the log into the online store, every event once, a batch of a partition in one transaction."""

import hashlib
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from reelrank.domain.event import (
    Accepted,
    Comment,
    Event,
    Follow,
    Hide,
    History,
    Impression,
    Like,
    Report,
    Served,
    Share,
    Skip,
    Unfollow,
    Unlike,
    Watch,
    decode_accepted,
    is_completion,
    is_long_view,
)  # fmt: skip
from reelrank.domain.user import Signal
from reelrank.features import sequences, windows
from reelrank.features.columns import VideoColumns
from reelrank.features.windows import COUNTERS, Counter
from reelrank.storage.event_log import EVENTS, EventLog, StoredRecord
from reelrank.storage.online_store import Fold, Kind, OnlineStore

logger = logging.getLogger(__name__)


class UnknownId(LookupError):
    """An event in the log names a video or an author that the catalogue does not have."""


class StreamConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the stream folds."""

    batch: Annotated[int, Meta(ge=1)] = 5_000  # records of a partition folded in one transaction, at most
    history: Annotated[int, Meta(ge=1)] = 256  # watches kept per user
    poll_s: Annotated[float, Meta(ge=0)] = 0.004  # how long to wait for news at the end of the log


class Stream:
    """Follows the event log and keeps the online store current."""

    def __init__(self, log: EventLog, store: OnlineStore, columns: VideoColumns, config: StreamConfig | None = None) -> None:
        self._log = log
        self._store = store
        self._columns = columns
        self._config = config or StreamConfig()

    def fold_once(self, partition: int) -> int:
        """Folds the next batch of a partition; returns how many records it held, 0 at the end of the log."""
        folded = self._store.offsets()[partition]
        records = self._log.read(EVENTS, partition, folded, self._config.batch)
        if not records:
            return 0
        with self._store.fold(partition) as fold:
            if fold.offset != folded:  # somebody else has just folded these
                return 0
            _Batch(self._columns, self._config.history).fold(fold, records)
            fold.commit(records[-1].offset + 1)
        return len(records)

    def follow(self, stopping: Callable[[], bool]) -> None:
        """Folds what comes, partition by partition, until `stopping` says so. Waits for partitions that another process holds."""
        claimed: set[int] = set()
        with ExitStack() as held:
            while not stopping():
                for partition in range(self._log.partitions):
                    if partition not in claimed and (claim := self._log.claim("stream", partition)) is not None:
                        held.enter_context(claim)
                        claimed.add(partition)
                if sum(self.fold_once(partition) for partition in claimed) == 0:
                    time.sleep(self._config.poll_s)

    def catch_up(self) -> int:
        """Folds every partition to the end of the log as it is now; returns how many records that took."""
        folded = 0
        for partition in range(self._log.partitions):
            while count := self.fold_once(partition):
                folded += count
        return folded


class _UserChanges:
    """What a batch adds to one user's record."""

    __slots__ = ("authors", "counts", "place", "seen", "served", "signals", "watches")

    def __init__(self) -> None:
        self.watches: list[bytes] = []
        self.signals: list[bytes] = []
        self.authors: list[bytes] = []
        self.served: list[bytes] = []
        self.seen: list[int] = []
        self.counts: list[tuple[Counter, int]] = []
        self.place = b""

    def applied_to(self, stored: bytes | None, history: int) -> bytes:
        """The record with these changes."""
        before = sequences.EMPTY if stored is None else sequences.decode_record(stored)
        counts = np.frombuffer(before.counts, dtype="<i8").copy() if before.counts else np.zeros(COUNTERS, dtype="<i8")
        for counter, amount in self.counts:
            counts[counter] += amount
        return sequences.encode_record(
            sequences.UserRecord(
                watches=sequences.merge_watches(before.watches, self.watches, history),
                signals=sequences.merge_signals(before.signals, self.signals, sequences.KEEP_SIGNALS) if self.signals else before.signals,
                authors=sequences.merge_signals(before.authors, self.authors, sequences.KEEP_AUTHORS) if self.authors else before.authors,
                served=sequences.merge_served(before.served, self.served),
                seen=sequences.merge_seen(before.seen, self.seen) if self.seen else before.seen,
                counts=counts.tobytes(),
                place=max(before.place, self.place),
            )
        )


class _Batch:
    """One batch on its way into a fold: changes per user, and increments per video that fan out to its author, tags, sound and place."""

    def __init__(self, columns: VideoColumns, history: int) -> None:
        self._columns = columns
        self._history = history
        self._users: defaultdict[str, _UserChanges] = defaultdict(_UserChanges)
        # increments: row, time, counter, amount, place row of the user (-1 unknown)
        self._videos: list[tuple[int, float, int, int, int]] = []
        self._authors: list[tuple[int, float, int, int]] = []

    def fold(self, fold: Fold, records: Sequence[StoredRecord]) -> None:
        accepted = [_decoded(record) for record in records]
        # the fingerprints of all, so that a record keeps its place in the window of repeats whatever release reads it
        fingerprints = [b"" if one is None else _fingerprint(one.event) for one in accepted]
        fresh = fold.first_time(records[0].offset, fingerprints)
        self._columns.name_places(_places_in(accepted))
        for one, fingerprint, is_new in zip(accepted, fingerprints, fresh, strict=True):
            handler = None if one is None else _HANDLERS.get(type(one.event))
            if one is None or not is_new or handler is None:
                continue
            try:
                handler(self, one.event, one.occurred_at, int.from_bytes(fingerprint[:4], "big"))
            except UnknownId as problem:  # nothing of it was; the collector refuses these: the catalogue must have been replaced
                logger.warning("event %s was not folded: %s", one.event.event_id, problem)
        self._write_users(fold)
        self._write_counters(fold)

    def served(self, event: Served, occurred_at: float, tie: int) -> None:
        rows = [self._row(shown.video_id) for shown in event.videos]
        self._changes(event, occurred_at, tie).served += [sequences.served_entry(occurred_at, tie, row) for row in rows]

    def impression(self, event: Impression, occurred_at: float, tie: int) -> None:
        row = self._row(event.video_id)
        changes = self._changes(event, occurred_at, tie)
        changes.seen.append(row)
        self._count(event, changes, row, occurred_at, Counter.IMPRESSIONS)

    def watch(self, event: Watch | Skip, occurred_at: float, tie: int) -> None:
        row = self._row(event.video_id)
        changes = self._changes(event, occurred_at, tie)
        duration_s = float(self._columns.duration_s[row])
        skipped = isinstance(event, Skip)
        replays = 0 if skipped else event.replays
        long_view = not skipped and is_long_view(event.watched_s, duration_s)
        changes.seen.append(row)
        changes.watches.append(sequences.watch_entry(occurred_at, tie, row, event.watched_s, replays, skipped=skipped, long_view=long_view))
        self._count(event, changes, row, occurred_at, Counter.SKIPS if skipped else Counter.CLICKS)
        if event.watched_s > 0:
            self._count(event, changes, row, occurred_at, Counter.WATCHED_DS, round(event.watched_s * 10))
        if long_view:
            self._count(event, changes, row, occurred_at, Counter.LONG_VIEWS)
        if is_completion(event.watched_s, duration_s):
            self._count(event, changes, row, occurred_at, Counter.COMPLETIONS)
        if replays:
            self._count(event, changes, row, occurred_at, Counter.REPLAYS, replays)

    def signal(self, event: Like | Unlike | Share | Comment | Hide | Report, occurred_at: float, tie: int) -> None:
        signal, counter, on = _SIGNALS[type(event)]
        row = self._row(event.video_id)
        changes = self._changes(event, occurred_at, tie)
        changes.signals.append(sequences.signal_entry(occurred_at, tie, signal, row, on))
        if isinstance(event, Hide) and event.whole_author:
            changes.authors.append(sequences.signal_entry(occurred_at, tie, Signal.BLOCK, int(self._columns.author_row[row]), on=True))
        self._count(event, changes, row, occurred_at, counter, 1 if on else -1)

    def follow(self, event: Follow | Unfollow, occurred_at: float, tie: int) -> None:
        author, on = self._author_row(event.author_id), isinstance(event, Follow)
        changes = self._changes(event, occurred_at, tie)
        changes.authors.append(sequences.signal_entry(occurred_at, tie, Signal.FOLLOW, author, on))
        changes.counts.append((Counter.FOLLOWS, 1 if on else -1))
        self._authors.append((author, occurred_at, Counter.FOLLOWS, 1 if on else -1))

    def history(self, event: History, occurred_at: float, tie: int) -> None:
        """A base state: watches in order, without times. They count in the totals of a video and in no window; what was not long counts as skipped."""
        recent = set(event.watched)
        watched = [self._row(video_id) for video_id in (*(one for one in event.long_viewed if one not in recent), *event.watched)]
        long_viewed = {self._row(video_id) for video_id in event.long_viewed}
        liked = [self._row(video_id) for video_id in event.liked]
        changes = self._changes(event, occurred_at, tie)
        changes.seen += watched
        for place, row in enumerate(watched):
            at = occurred_at - (len(watched) - place) / 1000  # keeps the order; marked as no real time
            long_view = row in long_viewed
            changes.watches.append(sequences.watch_entry(at, tie, row, None, 0, skipped=not long_view, long_view=long_view, timed=False))
            for counter in (Counter.CLICKS, Counter.LONG_VIEWS) if long_view else (Counter.SKIPS,):
                self._count(event, changes, row, 0.0, counter)
        for place, row in enumerate(liked):
            changes.signals.append(sequences.signal_entry(occurred_at - (len(liked) - place) / 1000, tie, Signal.LIKE, row, on=True))
            self._count(event, changes, row, 0.0, Counter.LIKES)

    def _changes(self, event: Event, occurred_at: float, tie: int) -> _UserChanges:
        changes = self._users[event.user_id]  # pyright: ignore[reportAttributeAccessIssue]
        context = event.context  # pyright: ignore[reportAttributeAccessIssue]
        if context is not None and context.place:
            changes.place = max(changes.place, sequences.place_entry(occurred_at, tie, context.place))
        return changes

    def _count(self, event: Event, changes: _UserChanges, row: int, occurred_at: float, counter: Counter, amount: int = 1) -> None:
        context = event.context  # pyright: ignore[reportAttributeAccessIssue]
        place_row = -1 if context is None else self._columns.places.get(context.place, -1)
        changes.counts.append((counter, amount))
        self._videos.append((row, occurred_at, counter, amount, place_row))

    def _row(self, video_id: str) -> int:
        if video_id not in self._columns.rows:
            self._columns.refresh()  # published a moment ago
        try:
            return self._columns.rows[video_id]
        except KeyError:
            raise UnknownId(f"video {video_id!r} is not in the catalogue") from None

    def _author_row(self, author_id: str) -> int:
        if author_id not in self._columns.authors:
            self._columns.refresh()
        try:
            return self._columns.authors[author_id]
        except KeyError:
            raise UnknownId(f"author {author_id!r} is not in the catalogue") from None

    def _write_users(self, fold: Fold) -> None:
        user_ids = list(self._users)
        stored = fold.users(user_ids)
        fold.put_users({user_id: self._users[user_id].applied_to(before, self._history) for user_id, before in zip(user_ids, stored, strict=True)})

    def _write_counters(self, fold: Fold) -> None:
        if self._videos:
            table = np.array(self._videos, dtype=np.float64)
            rows, places = table[:, 0].astype(np.int64), table[:, 4].astype(np.int64)
            columns = self._columns
            _add(fold, Kind.EVERYTHING, np.zeros_like(rows), table)
            _add(fold, Kind.VIDEO, rows, table)
            _add(fold, Kind.AUTHOR, columns.author_row[rows], table)
            _add(fold, Kind.SOUND, columns.sound_row[rows], table)
            tags = columns.tag_rows[rows]  # (m, MAX_TAGS)
            increments, slots = np.nonzero(tags >= 0)
            _add(fold, Kind.TAG, tags[increments, slots], table[increments])
            _add(fold, Kind.PLACE_VIDEO, np.where(places >= 0, places << 32 | rows, -1), table)
        if self._authors:
            table = np.array(self._authors, dtype=np.float64)
            _add(fold, Kind.AUTHOR, table[:, 0].astype(np.int64), table)


def _add(fold: Fold, kind: Kind, keys: np.ndarray, increments: np.ndarray) -> None:
    """Adds increments (m, [row, time, counter, amount, …]) to the counters of `keys` (m,); -1 belongs to nobody."""
    known = keys >= 0
    if not known.any():
        return
    distinct, places = np.unique(keys[known], return_inverse=True)
    chosen = increments[known]
    state = windows.add(fold.counters(kind, distinct), places, chosen[:, 1], chosen[:, 2].astype(np.int64), chosen[:, 3].astype(np.int64))
    fold.put_counters(kind, distinct, state)


def _decoded(record: StoredRecord) -> Accepted | None:
    """The accepted event in a record; None, and an error in the log, for one that this release can't read: it must not stop the others."""
    try:
        return decode_accepted(record.value)
    except msgspec.DecodeError as problem:
        logger.error("the record at offset %d can't be read and was not folded: %s", record.offset, problem)
        return None


def _places_in(accepted: Iterable[Accepted | None]) -> Iterator[str]:
    """Where the users of a batch say that they are."""
    for one in accepted:
        context = None if one is None else getattr(one.event, "context", None)
        if context is not None and context.place:
            yield context.place


def _fingerprint(event: Event) -> bytes:
    """Tells an event from every other: two users may choose the same event id."""
    return hashlib.blake2b(f"{event.key}\0{event.event_id}".encode(), digest_size=12).digest()


_SIGNALS: dict[type[Event], tuple[Signal, Counter, bool]] = {
    Like: (Signal.LIKE, Counter.LIKES, True),
    Unlike: (Signal.LIKE, Counter.LIKES, False),
    Share: (Signal.SHARE, Counter.SHARES, True),
    Comment: (Signal.COMMENT, Counter.COMMENTS, True),
    Hide: (Signal.HIDE, Counter.HIDES, True),
    Report: (Signal.HIDE, Counter.HIDES, True),
}
_HANDLERS: dict[type[Event], Callable[..., None]] = {
    Served: _Batch.served,
    Impression: _Batch.impression,
    Watch: _Batch.watch,
    Skip: _Batch.watch,
    **dict.fromkeys(_SIGNALS, _Batch.signal),
    Follow: _Batch.follow,
    Unfollow: _Batch.follow,
    History: _Batch.history,
}

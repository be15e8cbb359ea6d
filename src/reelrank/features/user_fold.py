"""The user fold: folds a partition's events into its users' records, and tells the counters what they mean for videos."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from reelrank.domain.event import (
    Block,
    Comment,
    Event,
    Follow,
    Hide,
    History,
    Impression,
    Like,
    Profile,
    Report,
    Reset,
    Share,
    Skip,
    Topic,
    Unblock,
    Unfollow,
    Unlike,
    Watch,
    is_completion,
    is_long_view,
)  # fmt: skip
from reelrank.domain.user import Signal, Wish
from reelrank.features import sequences
from reelrank.features.columns import VideoColumns
from reelrank.features.controls import bounds_entry
from reelrank.features.folded_events import FoldedServed, by_offset, decoded
from reelrank.features.repeats import NOTHING, RepeatWindow, fingerprint
from reelrank.features.signals import BlockBuilder, Increments, encode_block
from reelrank.features.user_changes import UserChanges
from reelrank.features.windows import Counter
from reelrank.storage.event_log import EVENTS, SIGNALS, EventLog, Record, StoredRecord
from reelrank.storage.online_store import FoldConflict, OnlineStore

logger = logging.getLogger(__name__)

_BACKLOG = 1_000  # records at once: then there are more, and a larger batch costs less for each
_ENTRIES = 5_000  # in one block of signals: about 700 kB


class UnknownId(LookupError):
    """An event in the log names a video or an author that the catalogue does not have."""


class StreamConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the stream folds."""

    batch: Annotated[int, Meta(ge=1)] = 20_000  # records of a partition folded in one commit, at most
    history: Annotated[int, Meta(ge=1)] = 256  # watches kept per user
    poll_s: Annotated[float, Meta(ge=0)] = 0.05  # how long to wait for news before looking after other things
    count_every_s: Annotated[float, Meta(ge=0)] = 0.05  # videos' counters are folded so often at most: what comes together is one commit
    pause_s: Annotated[float, Meta(ge=0)] = 0.2  # before the next try when a store is away


class UserFold:
    """Folds EVENTS into an OnlineStore, and what they mean for videos into SIGNALS.

    Signals go out before the users are committed: after a crash in between they go out again, with the same origins,
    and whoever counts them sees that.
    """

    def __init__(
        self,
        log: EventLog,
        store: OnlineStore,
        columns: VideoColumns,
        repeat_window: int,
        config: StreamConfig | None = None,
        signals_log: EventLog | None = None,  # another log for the signals: to fold the past again without sending them again
    ) -> None:
        self._log = log
        self._signals_log = signals_log or log
        self._store = store
        self._columns = columns
        self._repeat_window = repeat_window
        self._config = config or StreamConfig()
        self._windows: dict[int, RepeatWindow] = {}  # of the partitions folded here, each as far as the store

    def offset(self, partition: int) -> int:
        """The offset of a partition that is folded next."""
        return self._window(partition).offset

    def fold(self, partitions: Iterable[int]) -> int:
        """Folds the next batch of each of these partitions; returns how many records they held, 0 when there is none.

        Their signals go out together: that takes the log about as long as those of one. Raises StorageError when a
        store is away; then nothing has happened that would not happen again in the same way.
        """
        return self._finished([one for partition in partitions if (one := self._begun(partition, None)) is not None])

    def fold_once(self, partition: int, until: int | None = None) -> int:
        """The same for one partition, and only up to the offset `until`."""
        begun = self._begun(partition, until)
        return 0 if begun is None else self._finished([begun])

    def _begun(self, partition: int, until: int | None) -> "_Begun | None":
        """The next batch of a partition, gone through; None where there is nothing to fold."""
        window = self._window(partition)
        offset = window.offset
        at_most = self._config.batch if until is None else min(self._config.batch, until - offset)
        records = self._log.read(EVENTS, partition, offset, at_most) if at_most > 0 else []
        while _BACKLOG <= len(records) < at_most and (more := self._log.read(EVENTS, partition, records[-1].offset + 1, at_most - len(records))):
            records += more
        if until is not None and records and records[-1].offset >= until:  # a log may leave offsets out
            records = [record for record in records if record.offset < until]
        if not records:
            return None
        del self._windows[partition]  # until all of this has worked, what it knows is not to be trusted
        batch = _Batch(self._columns, self._config.history)
        fingerprints = batch.take(records, window)
        stored = self._store.read(batch.user_ids)
        if any(seen != offset for seen in stored.offsets):  # somebody else has just folded these
            return None
        end = records[-1].offset + 1
        blocks = batch.signals.block(offset, end).split(_ENTRIES)
        signals = [Record("", encode_block(block), partition) for block in blocks]
        return _Begun(partition, window, offset, end, len(records), batch.records(stored.users), fingerprints, signals)

    def _finished(self, begun: Sequence["_Begun"]) -> int:
        """Sends the signals of some batches and commits their users; returns how many records were folded."""
        self._signals_log.append(SIGNALS, [record for one in begun for record in one.signals])
        folded = 0
        for one in begun:
            try:
                self._store.commit(one.partition, one.offset, one.end, one.users, one.fingerprints)
            except FoldConflict as conflict:
                logger.info("partition %d: %s", one.partition, conflict)
            else:
                self._windows[one.partition] = one.window
                folded += one.records
        return folded

    def forget(self, partition: int) -> None:
        """Lets go of a partition that another process folds from now on."""
        self._windows.pop(partition, None)

    def _window(self, partition: int) -> RepeatWindow:
        window = self._windows.get(partition)
        if window is None:
            window = RepeatWindow(self._repeat_window)
            window.load(*self._store.recent(partition))
            self._windows[partition] = window
        return window


class _Begun(NamedTuple):
    """A batch on its way: from `offset` to `end` of a partition."""

    partition: int
    window: RepeatWindow
    offset: int
    end: int
    records: int
    users: dict[str, bytes]
    fingerprints: bytes
    signals: list[Record]


class _Batch:
    """One batch on its way into a fold: what it adds to its users, and the signals it sends."""

    def __init__(self, columns: VideoColumns, history: int) -> None:
        self._columns = columns
        self._history = history
        self._users: defaultdict[str, UserChanges] = defaultdict(UserChanges)
        self._offset = 0  # of the event at hand
        self.signals = BlockBuilder(columns)

    @property
    def user_ids(self) -> list[str]:
        """Whom the batch is about."""
        return list(self._users)

    def take(self, records: Sequence[StoredRecord], window: RepeatWindow) -> bytes:
        """Goes through the records; returns the fingerprints of their offsets."""
        accepted = [decoded(record) for record in records]
        fingerprints = by_offset(records, [NOTHING if one is None else fingerprint(one.event) for one in accepted])
        first = records[0].offset
        fresh = window.first_time(first, fingerprints).tolist()
        contexts = [context for one in accepted if one is not None and (context := getattr(one.event, "context", None)) is not None]
        self._columns.name_places({context.place for context in contexts if context.place})
        self._columns.name_surfaces({context.surface for context in contexts})
        for record, one in zip(records, accepted, strict=True):
            if one is None or not fresh[record.offset - first] or (handler := _HANDLERS.get(type(one.event))) is None:
                continue
            self._offset = record.offset
            try:
                handler(self, one.event, one.occurred_at)
            except UnknownId as problem:  # nothing of it was; the collector refuses these: the catalogue must have been replaced
                logger.warning("event %s was not folded: %s", one.event.event_id, problem)
        return fingerprints

    def records(self, stored: Sequence[bytes | None]) -> dict[str, bytes]:
        """The new records of the users; `stored` are those of before, in the order of `user_ids`."""
        return {user_id: changes.applied_to(before, self._history) for (user_id, changes), before in zip(self._users.items(), stored, strict=True)}

    def served(self, event: FoldedServed, occurred_at: float) -> None:
        rows = [self._row(shown.video_id) for shown in event.videos]
        self._changes(event, occurred_at).served += sequences.served_entries(occurred_at, rows)

    def impression(self, event: Impression, occurred_at: float) -> None:
        row = self._row(event.video_id)
        changes = self._changes(event, occurred_at)
        changes.seen.append(row)
        self._count(event, changes, row, occurred_at, _IMPRESSION)  # not for the surface: of that only rates of outcomes are asked, and these are many

    def watch(self, event: Watch | Skip, occurred_at: float) -> None:
        row = self._row(event.video_id)
        changes = self._changes(event, occurred_at)
        duration_s = float(self._columns.duration_s[row])
        watched_s = event.watched_s
        skipped = isinstance(event, Skip)
        increments = [(Counter.SKIPS if skipped else Counter.CLICKS, 1)]
        replays, stalled_s, rendition, long_view = 0, 0.0, 0, False
        if isinstance(event, Watch):
            replays, stalled_s, rendition = event.replays, event.stalled_s, event.rendition
            long_view = is_long_view(watched_s, duration_s)
            if long_view:
                increments.append((Counter.LONG_VIEWS, 1))
            if replays:
                increments.append((Counter.REPLAYS, replays))
            if stalled_s > 0:
                increments.append((Counter.STALLED_DS, round(stalled_s * 10)))
        if watched_s > 0:
            increments.append((Counter.WATCHED_DS, round(watched_s * 10)))
        if is_completion(watched_s, duration_s):
            increments.append((Counter.COMPLETIONS, 1))
        changes.seen.append(row)
        surface = self._surface(event)
        changes.watches.append(
            sequences.watch_entry(
                occurred_at, row, watched_s, replays, skipped=skipped, long_view=long_view, stalled_s=stalled_s, rendition=rendition, surface=surface
            )
        )
        self._count(event, changes, row, occurred_at, increments, surface)

    def signal(self, event: Like | Unlike | Share | Comment | Hide | Report, occurred_at: float) -> None:
        signal, counter, on = _SIGNALS[type(event)]
        row = self._row(event.video_id)
        changes = self._changes(event, occurred_at)
        changes.signals.append(sequences.signal_entry(occurred_at, signal, row, on))
        if signal is Signal.HIDE:
            changes.seen.append(row)  # for good, whatever is forgotten of the rest
        if isinstance(event, Hide) and event.whole_author:
            changes.authors.append(sequences.signal_entry(occurred_at, Signal.BLOCK, int(self._columns.author_row[row]), on=True))
        self._count(event, changes, row, occurred_at, ((counter, 1 if on else -1),), self._surface(event))

    def follow(self, event: Follow | Unfollow, occurred_at: float) -> None:
        author, on = self._author_row(event.author_id), isinstance(event, Follow)
        increments = ((Counter.FOLLOWS, 1 if on else -1),)
        changes = self._changes(event, occurred_at)
        changes.authors.append(sequences.signal_entry(occurred_at, Signal.FOLLOW, author, on))
        changes.counts.append((occurred_at, increments))
        self.signals.author(self._offset, occurred_at, author, increments)

    def history(self, event: History, occurred_at: float) -> None:
        """A base state: watches in order, without times. They count in the totals of a video and in no window; what was not long counts as skipped."""
        recent = set(event.watched)
        watched = [self._row(video_id) for video_id in (*(one for one in event.long_viewed if one not in recent), *event.watched)]
        long_viewed = {self._row(video_id) for video_id in event.long_viewed}
        liked = [self._row(video_id) for video_id in event.liked]
        changes = self._changes(event, occurred_at)
        changes.seen += watched
        changes.base.append((occurred_at, len(watched), len(long_viewed.intersection(watched))))
        for place, row in enumerate(watched):
            at = occurred_at - (len(watched) - place) / 1000  # keeps the order; marked as no real time
            long_view = row in long_viewed
            changes.watches.append(sequences.watch_entry(at, row, None, 0, skipped=not long_view, long_view=long_view, timed=False))
            self._count(event, changes, row, occurred_at, _BASE_LONG_VIEW if long_view else _BASE_SKIP, counted_at=0.0)
        for place, row in enumerate(liked):
            changes.signals.append(sequences.signal_entry(occurred_at - (len(liked) - place) / 1000, Signal.LIKE, row, on=True))
            self._count(event, changes, row, occurred_at, _BASE_LIKE, counted_at=0.0)

    def block(self, event: Block | Unblock, occurred_at: float) -> None:
        on, changes = isinstance(event, Block), self._changes(event, occurred_at)
        if event.what == "author":
            changes.authors.append(sequences.signal_entry(occurred_at, Signal.BLOCK, self._author_row(event.name), on))
        else:
            kind = Wish.WORD if event.what == "word" else Wish.SOUND
            changes.wishes.append((sequences.milliseconds(occurred_at), kind, event.name, int(on)))

    def topic(self, event: Topic, occurred_at: float) -> None:
        amount = {"more": 1, "less": -1, "usual": 0}[event.wish]
        self._changes(event, occurred_at).wishes.append((sequences.milliseconds(occurred_at), Wish.TOPIC, event.topic, amount))

    def reset(self, event: Reset, occurred_at: float) -> None:
        changes = self._changes(event, occurred_at)
        changes.reset_ms = max(changes.reset_ms, sequences.milliseconds(occurred_at))

    def profile(self, event: Profile, occurred_at: float) -> None:
        changes = self._changes(event, occurred_at)
        changes.bounds = max(changes.bounds, bounds_entry(sequences.milliseconds(occurred_at), event))

    def _changes(self, event: Any, occurred_at: float) -> UserChanges:
        changes = self._users[event.user_id]
        context = event.context
        if context is not None and context.place:
            place = (sequences.milliseconds(occurred_at), context.place)
            if place > changes.place:
                changes.place = place
        return changes

    def _count(
        self, event: Any, changes: UserChanges, row: int, occurred_at: float, increments: Increments, surface: int = 0, counted_at: float | None = None
    ) -> None:
        """Counts for the user and the video; for that one at `counted_at`, if that is another moment."""
        context = event.context
        changes.counts.append((occurred_at, increments))
        place = -1 if context is None else self._columns.places.get(context.place, -1)
        self.signals.video(self._offset, occurred_at if counted_at is None else counted_at, row, place, increments, surface)

    def _surface(self, event: Any) -> int:
        return 0 if event.context is None else self._columns.surfaces.get(event.context.surface, 0)

    def _row(self, video_id: str) -> int:
        row = self._columns.rows.get(video_id)
        if row is None:
            self._columns.refresh()  # published a moment ago
            row = self._columns.rows.get(video_id)
            if row is None:
                raise UnknownId(f"video {video_id!r} is not in the catalogue")
        return row

    def _author_row(self, author_id: str) -> int:
        if author_id not in self._columns.authors:
            self._columns.refresh()
        try:
            return self._columns.authors[author_id]
        except KeyError:
            raise UnknownId(f"author {author_id!r} is not in the catalogue") from None


_IMPRESSION = ((Counter.IMPRESSIONS, 1),)
_BASE_LONG_VIEW, _BASE_SKIP, _BASE_LIKE = ((Counter.CLICKS, 1), (Counter.LONG_VIEWS, 1)), ((Counter.SKIPS, 1),), ((Counter.LIKES, 1),)
_SIGNALS: dict[type[Event], tuple[Signal, Counter, bool]] = {
    Like: (Signal.LIKE, Counter.LIKES, True),
    Unlike: (Signal.LIKE, Counter.LIKES, False),
    Share: (Signal.SHARE, Counter.SHARES, True),
    Comment: (Signal.COMMENT, Counter.COMMENTS, True),
    Hide: (Signal.HIDE, Counter.HIDES, True),
    Report: (Signal.HIDE, Counter.HIDES, True),
}
_HANDLERS: dict[type, Callable[..., None]] = {
    FoldedServed: _Batch.served,
    Impression: _Batch.impression,
    Watch: _Batch.watch,
    Skip: _Batch.watch,
    **dict.fromkeys(_SIGNALS, _Batch.signal),
    Follow: _Batch.follow,
    Unfollow: _Batch.follow,
    History: _Batch.history,
    Block: _Batch.block,
    Unblock: _Batch.block,
    Topic: _Batch.topic,
    Reset: _Batch.reset,
    Profile: _Batch.profile,
}

"""The collector: stamps events, checks them against the catalogue and appends what is good to the log, durably."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

from reelrank.domain.clock import Clock
from reelrank.domain.event import Accepted, Served, VideoPublished, VideoRemoved, encode_accepted
from reelrank.domain.video import Video
from reelrank.events.dead_letters import DeadLetters
from reelrank.events.rights import ALL_RIGHTS, Rights, SlateVerifier, admitted
from reelrank.events.validation import Batch, Decoded, KnownIds, RefusalKind, Refused, quoted, refuse, unknown_id, with_unknown_id
from reelrank.storage.catalog import Catalog, VideoConflict
from reelrank.storage.event_log import EVENTS, EventLog, Record

# Fills in what was known of slates, each at its moment (UTC seconds).
Complete = Callable[[Sequence[Served], Sequence[float]], Sequence[Served]]

_OF_THE_CATALOGUE = frozenset({VideoPublished, VideoRemoved})


class CollectorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the collector lets pass."""

    max_ahead_s: float = 60.0  # how far a client's clock may run ahead before the arrival counts instead
    dead_letter_bytes: int = 65_536  # of a refused event, kept at most


class Refusal(msgspec.Struct, frozen=True):
    """An event that was refused: its place in the batch and why."""

    index: int
    event_id: str
    reason: str


class Receipt(msgspec.Struct, frozen=True):
    """What became of a batch. Every event is counted once: accepted, a repeat of another one, or refused.

    `offsets`: per partition that got something, the log offset after it. A feed whose state has reached it knows the batch.
    """

    accepted: int
    repeated: int
    refused: tuple[Refusal, ...]
    offsets: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch that was checked and stamped, and is not in the log yet."""

    received_at: float
    accepted: list[Accepted]
    refused: list[Refused]
    repeated: int
    rights: Rights = ALL_RIGHTS  # of who sent it


class Collector:
    """Takes batches from any number of threads. What it has counted since the start is in `accepted` and `refused`."""

    def __init__(self, log: EventLog, catalog: Catalog, known: KnownIds, clock: Clock, slates: SlateVerifier, config: CollectorConfig | None = None) -> None:
        self._log = log
        self._catalog = catalog
        self._known = known
        self._clock = clock
        self._slates = slates
        self._config = config or CollectorConfig()
        self._dead_letters = DeadLetters(log, self._config.dead_letter_bytes)
        self._counting = threading.Lock()
        self.accepted: Counter[str] = Counter()  # type of event -> how many, repeats not among them
        self.refused: Counter[RefusalKind] = Counter()

    def accept(self, batch: Batch, complete: Complete | None = None, *, keep_refused: bool = True, rights: Rights = ALL_RIGHTS) -> Receipt:
        """Appends the good events in one go and returns once they are durable; what is refused becomes dead letters.

        `complete` fills in the slates before they are recorded; `rights` are the sender's. Raises StorageError when nothing could be made
        durable: then nothing is acknowledged and the batch may be sent again.
        """
        return self.commit([self.prepare(batch, complete, rights)], keep_refused=keep_refused)[0]

    def prepare(self, batch: Batch, complete: Complete | None = None, rights: Rights = ALL_RIGHTS) -> Prepared:
        """Checks and stamps a batch; videos that it publishes are in the catalogue afterwards, nothing is in the log."""
        received_at = self._clock.now()
        refused = list(batch.refused)
        events = _without_repeats(batch.events)
        repeated = len(batch.events) - len(events)
        events, imported = admitted(events, refused, rights, self._slates)
        kinds = {type(decoded.event) for decoded in events}  # most batches are of the few kinds that need no more than a look at their videos
        if not kinds.isdisjoint(_OF_THE_CATALOGUE):
            events = self._uploaded_by_now(events, refused, received_at)
            events = self._into_catalogue(events, refused)
        events = self._known_to_catalogue(events, refused)
        accepted = self._stamped(events, received_at, imported)
        if complete is not None and Served in kinds:
            accepted = _completed(accepted, complete)
        refused.sort(key=lambda one: one.index)
        return Prepared(received_at, accepted, refused, repeated, rights)

    def commit(self, batches: Sequence[Prepared], *, keep_refused: bool = True) -> list[Receipt]:
        """Appends batches together and returns their receipts once all are durable. Raises StorageError: then none of them is acknowledged."""
        records = [Record(one.event.key, encode_accepted(one)) for batch in batches for one in batch.accepted]
        places = self._log.append(EVENTS, records) if records else []
        if keep_refused:
            for batch in batches:
                if batch.refused:
                    self._dead_letters.record(batch.refused, batch.received_at, batch.rights)
        kinds = Counter(type(one.event) for batch in batches for one in batch.accepted)
        with self._counting:
            self.accepted.update({str(kind.__struct_config__.tag): count for kind, count in kinds.items()})
            self.refused.update(one.kind for batch in batches for one in batch.refused)
        receipts: list[Receipt] = []
        start = 0
        for batch in batches:
            end = start + len(batch.accepted)
            receipts.append(_receipt(batch, places[start:end]))
            start = end
        return receipts

    def _uploaded_by_now(self, events: list[Decoded], refused: list[Refused], now: float) -> list[Decoded]:
        """The events without videos from the future, which would be the newest for good."""
        latest = now + self._config.max_ahead_s
        ahead = {decoded.index: decoded for decoded in events if isinstance(decoded.event, VideoPublished) and decoded.event.video.uploaded_at > latest}
        for decoded in ahead.values():
            video = decoded.event.video  # pyright: ignore[reportAttributeAccessIssue]
            reason = f"video.uploaded_at {video.uploaded_at} of {quoted(video.video_id)} lies in the future (it is {now:.0f} now); publish it once it is there"
            refused.append(refuse(decoded, reason, "content"))
        return [decoded for decoded in events if decoded.index not in ahead] if ahead else events

    def _into_catalogue(self, events: list[Decoded], refused: list[Refused]) -> list[Decoded]:
        """Publishes and removes videos, in their order; returns the events that are still good."""
        changes = [decoded for decoded in events if isinstance(decoded.event, VideoPublished | VideoRemoved)]
        conflicts: set[int] = set()
        for kind, run in groupby(changes, key=lambda decoded: type(decoded.event)):
            if kind is VideoRemoved:
                self._catalog.remove([decoded.event.key for decoded in run])
                continue
            published = list(run)
            try:
                self._catalog.publish(_videos(published))
            except VideoConflict:  # all or nothing, so one by one
                for decoded in published:
                    try:
                        self._catalog.publish(_videos([decoded]))
                    except VideoConflict as conflict:
                        conflicts.add(decoded.index)
                        refused.append(refuse(decoded, str(conflict), "conflict"))
        if changes:
            self._known.refresh()  # what is answered next knows them already
        return [decoded for decoded in events if decoded.index not in conflicts] if conflicts else events

    def _known_to_catalogue(self, events: list[Decoded], refused: list[Refused]) -> list[Decoded]:
        """The events whose videos and authors exist; a miss is looked up in the catalogue once before it counts."""
        missed = with_unknown_id(events, self._known)
        if not missed:
            return events
        self._known.refresh()
        bad: set[int] = set()
        for decoded in missed:
            reason = unknown_id(decoded.event, self._known)
            if reason is not None:
                bad.add(decoded.index)
                refused.append(refuse(decoded, reason, "catalogue"))
        return [decoded for decoded in events if decoded.index not in bad]

    def _stamped(self, events: list[Decoded], received_at: float, imported: frozenset[int]) -> list[Accepted]:
        latest = received_at + self._config.max_ahead_s
        stamped: list[Accepted] = []
        for decoded in events:
            event = decoded.event
            occurred_at = event.occurred_at
            brought_in = decoded.index in imported
            if occurred_at is None:
                stamped.append(Accepted(event, received_at, received_at, 0.0, brought_in))
            elif occurred_at > latest:
                stamped.append(Accepted(event, received_at, received_at, occurred_at - received_at, brought_in))
            else:
                stamped.append(Accepted(event, received_at, occurred_at, 0.0, brought_in))
        return stamped


def _receipt(batch: Prepared, places: list[tuple[int, int]]) -> Receipt:
    last = dict(places)  # of each partition the last place, as those of one partition come in order
    offsets = {str(partition): offset + 1 for partition, offset in last.items()}
    refused = tuple(Refusal(one.index, one.event_id, one.reason) for one in batch.refused)
    return Receipt(len(batch.accepted), batch.repeated, refused, offsets)


def _completed(accepted: list[Accepted], complete: Complete) -> list[Accepted]:
    """The events with their slates filled in, all slates at once."""
    slates = {place: one.event for place, one in enumerate(accepted) if isinstance(one.event, Served)}
    if not slates:
        return accepted
    filled = dict(zip(slates, complete(list(slates.values()), [accepted[place].occurred_at for place in slates]), strict=True))
    return [msgspec.structs.replace(one, event=filled[place]) if place in filled else one for place, one in enumerate(accepted)]


def _without_repeats(events: list[Decoded]) -> list[Decoded]:
    """Of events with the same key and id the first."""
    if len({decoded.event.event_id for decoded in events}) == len(events):  # as in nearly every batch
        return events
    first: dict[tuple[str, str], Decoded] = {}
    for decoded in events:
        first.setdefault((decoded.event.key, decoded.event.event_id), decoded)
    return list(first.values())


def _videos(published: Iterable[Decoded]) -> list[Video]:
    return [decoded.event.video for decoded in published if isinstance(decoded.event, VideoPublished)]

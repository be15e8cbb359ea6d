"""The collector: stamps events, checks them against the catalogue and appends what is good to the log, durably."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import msgspec

from reelrank.domain.clock import Clock
from reelrank.domain.event import Accepted, Event, Served, VideoPublished, VideoRemoved, encode_accepted
from reelrank.domain.video import Video
from reelrank.events.dead_letters import DeadLetters
from reelrank.events.validation import Batch, Decoded, KnownIds, RefusalKind, Refused, quoted, refuse, unknown_id
from reelrank.storage.catalog import Catalog, VideoConflict
from reelrank.storage.event_log import EVENTS, EventLog, Record

# Fills in what was known of slates, each at its moment (UTC seconds).
Complete = Callable[[Sequence[Served], Sequence[float]], Sequence[Served]]


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
    """What became of a batch. Every event is counted once: accepted, a repeat of another one, or refused."""

    accepted: int
    repeated: int
    refused: tuple[Refusal, ...]


class Collector:
    """Takes batches from any number of threads. What it has counted since the start is in `accepted` and `refused`."""

    def __init__(self, log: EventLog, catalog: Catalog, known: KnownIds, clock: Clock, config: CollectorConfig | None = None) -> None:
        self._log = log
        self._catalog = catalog
        self._known = known
        self._clock = clock
        self._config = config or CollectorConfig()
        self._dead_letters = DeadLetters(log, self._config.dead_letter_bytes)
        self._counting = threading.Lock()
        self.accepted: Counter[str] = Counter()  # type of event -> how many, repeats not among them
        self.refused: Counter[RefusalKind] = Counter()

    def accept(self, batch: Batch, complete: Complete | None = None, *, keep_refused: bool = True) -> Receipt:
        """Appends the good events in one go and returns once they are durable; what is refused becomes dead letters.

        `complete` fills in the slates before they are recorded. Raises StorageError when nothing could be made
        durable: then nothing is acknowledged and the batch may be sent again.
        """
        received_at = self._clock.now()
        refused = list(batch.refused)
        events = _without_repeats(batch.events)
        repeated = len(batch.events) - len(events)
        events = self._uploaded_by_now(events, refused, received_at)
        events = self._known_to_catalogue(self._into_catalogue(events, refused), refused)
        accepted = [self._stamped(decoded.event, received_at) for decoded in events]
        if complete is not None:
            accepted = _completed(accepted, complete)
        if accepted:
            self._log.append(EVENTS, [Record(one.event.key, encode_accepted(one)) for one in accepted])
        if refused and keep_refused:
            self._dead_letters.record(refused, received_at)
        with self._counting:
            self.accepted.update(str(one.event.__struct_config__.tag) for one in accepted)
            self.refused.update(one.kind for one in refused)
        refused.sort(key=lambda one: one.index)
        return Receipt(len(accepted), repeated, tuple(Refusal(one.index, one.event_id, one.reason) for one in refused))

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
        missed = [decoded for decoded in events if unknown_id(decoded.event, self._known)]
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

    def _stamped(self, event: Event, received_at: float) -> Accepted:
        occurred_at = event.occurred_at
        if occurred_at is None:
            return Accepted(event, received_at, received_at)
        ahead_s = occurred_at - received_at
        if ahead_s > self._config.max_ahead_s:
            return Accepted(event, received_at, received_at, clamped_s=ahead_s)
        return Accepted(event, received_at, occurred_at)


def _completed(accepted: list[Accepted], complete: Complete) -> list[Accepted]:
    """The events with their slates filled in, all slates at once."""
    slates = {place: one.event for place, one in enumerate(accepted) if isinstance(one.event, Served)}
    if not slates:
        return accepted
    filled = dict(zip(slates, complete(list(slates.values()), [accepted[place].occurred_at for place in slates]), strict=True))
    return [msgspec.structs.replace(one, event=filled[place]) if place in filled else one for place, one in enumerate(accepted)]


def _without_repeats(events: list[Decoded]) -> list[Decoded]:
    """Of events with the same key and id the first."""
    first: dict[tuple[str, str], Decoded] = {}
    for decoded in events:
        first.setdefault((decoded.event.key, decoded.event.event_id), decoded)
    return events if len(first) == len(events) else list(first.values())


def _videos(published: Iterable[Decoded]) -> list[Video]:
    return [decoded.event.video for decoded in published if isinstance(decoded.event, VideoPublished)]

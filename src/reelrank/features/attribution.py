"""Attribution: a fold of one partition of the log that joins what was served with what followed, into examples."""

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from reelrank.domain import example
from reelrank.domain.event import (
    Accepted,
    Comment,
    Context,
    Event,
    Follow,
    Hide,
    Impression,
    Like,
    Report,
    Served,
    ServedVideo,
    Share,
    Skip,
    Unfollow,
    Unlike,
    Watch,
)  # fmt: skip
from reelrank.domain.example import CLOSED, CORRECTED, PROGRESS, WATCHED, Example, Happened, Labels, PlaceFacts, SlateFacts, encode_example, encode_facts
from reelrank.domain.video import Video
from reelrank.features.definitions import FEATURES_VERSION, WIDTH

MAX_HAPPENED = 64  # per example: whoever likes and unlikes without end must not fill the memory

_WHAT: dict[type[Event], int] = {
    Impression: example.IMPRESSION, Watch: example.WATCH, Skip: example.SKIP, Like: example.LIKE, Unlike: example.UNLIKE, Share: example.SHARE,
    Comment: example.COMMENT, Hide: example.HIDE, Report: example.HIDE, Follow: example.FOLLOW, Unfollow: example.UNFOLLOW,
}  # fmt: skip
_pack = struct.Struct(f"<{WIDTH}f").pack
_NOWHERE = Context()


class AttributionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long attribution waits for what. Times are event times, compared with the newest event of the partition."""

    window_s: Annotated[float, Meta(gt=0)] = 600.0  # engagements count until so long after the impression
    lateness_s: Annotated[float, Meta(ge=0)] = 60.0  # an impression that arrives late stays open at least so long
    remember_s: Annotated[float, Meta(gt=0)] = 3_600.0  # a slate takes events until so long after it was served
    max_slates: Annotated[int, Meta(ge=1)] = 20_000  # remembered per partition; of more, the oldest are closed early
    progress_every: Annotated[int, Meta(ge=1)] = 10_000  # offsets between two records of progress
    batch: Annotated[int, Meta(ge=1)] = 2_000  # records of a partition that are read, and examples that are written, at a time


@dataclass(slots=True)
class AttributionCounts:
    """What was seen since the process began; nothing depends on it."""

    slates: int = 0
    watched: int = 0
    closed: int = 0
    corrected: int = 0
    repeats: int = 0  # told twice
    without_slate: int = 0  # names no slate, or one that is not remembered (any more)
    without_place: int = 0  # names a video that is not in its slate
    late: int = 0  # came after its example was closed
    too_many: int = 0  # beyond MAX_HAPPENED
    slates_too_late: int = 0  # were too old to be remembered when they arrived
    slates_closed_early: int = 0  # gave way, to newer ones or to another slate of the same name
    unknown_videos: int = 0  # were served and are not in the catalogue


@dataclass(slots=True)
class _Open:
    """A place of a slate about which something was told; stays until the slate is forgotten."""

    place: bytes
    duration_s: float
    happened: list[Happened] = field(default_factory=list)
    version: int = 0
    watched: bool = False
    closed: bool = False
    told: tuple[float, bool, Labels] | None = None  # impression and labels as last written


class _Slate:
    """A remembered slate. Its facts are kept as they will be written: much smaller than as objects."""

    __slots__ = ("durations", "event_id", "facts", "forgotten", "key", "offset", "open", "places", "served_at", "video_ids", "watermark")

    def __init__(self, key: str, offset: int, watermark: float, event_id: str, served_at: float) -> None:
        self.key, self.offset, self.watermark, self.event_id, self.served_at = key, offset, watermark, event_id, served_at
        self.facts = b""
        self.video_ids: tuple[str, ...] = ()  # by position
        self.durations: tuple[float, ...] = ()  # 0 where the catalogue does not have the video
        self.places: tuple[bytes, ...] = ()  # their facts
        self.open: dict[int, _Open] = {}  # position -> what is known of it
        self.forgotten = False

    def position_of(self, video_id: str, told: int | None) -> int | None:
        """Where the video is: at the place that was told, if it is there, else at the first one."""
        if told is not None and told < len(self.video_ids) and self.video_ids[told] == video_id:
            return told
        return self.video_ids.index(video_id) if video_id in self.video_ids else None


class Attribution:
    """The state of one partition, a pure function of its records: `fold` them in order, take the encoded examples from `made`.

    To come to the state just before the origin of any record that was ever made: begin with `resumed_at` that record,
    and fold from its `replay_from` on. Whatever began earlier, or went on undisturbed, is in the same state there.
    It holds because nothing is remembered but slates newer than one horizon, each with the events that named it after
    it came: all of them lie at or after the oldest remembered slate. (Repeats are recognised among those, by their ids:
    fingerprints of a longer past would have to be read again, and no repeat of something forgotten can matter.)
    """

    def __init__(self, partition: int, config: AttributionConfig, video_of: Callable[[str], Video | None], resumed_at: Example | None = None) -> None:
        self.partition = partition
        self.counts = AttributionCounts()
        self.made: list[bytes] = []
        self._config = config
        self._video_of = video_of
        self._watermark = 0.0 if resumed_at is None else resumed_at.watermark  # the newest event so far
        self._horizon = -1.0 if resumed_at is None else resumed_at.horizon  # slates served until then are forgotten
        self._slates: dict[str, _Slate] = {}
        self._by_offset: deque[_Slate] = deque()  # the first one is remembered; forgotten ones may follow it
        self._by_age: list[tuple[float, int, _Slate]] = []
        self._to_close: list[tuple[float, int, int, _Slate]] = []  # deadline, offset and position, slate
        self._offset = self._part = 0
        self._before = (0, 0.0, 0.0)  # replay_from, watermark and horizon before the record that is being folded

    def fold(self, offset: int, accepted: Accepted) -> None:
        """Takes the next record."""
        first = self._by_offset[0] if self._by_offset else None
        replay_from, watermark = (offset, self._watermark) if first is None else (first.offset, first.watermark)
        self._offset, self._part, self._before = offset, 0, (replay_from, watermark, self._horizon)
        arrived_at = self._watermark
        if accepted.occurred_at > arrived_at:
            self._watermark = accepted.occurred_at
            self._close_due()
            self._forget(self._watermark - self._config.remember_s)
        event = accepted.event
        if type(event) is Served:
            self._serve(event, accepted.occurred_at, arrived_at)
        elif (what := _WHAT.get(type(event))) is not None:
            self._join(event, accepted.occurred_at, what)
        if offset % self._config.progress_every == 0:  # by the offset alone, not by when the last one was: that would be state
            self._write(PROGRESS)

    @property
    def remembered(self) -> int:
        """How many slates are remembered."""
        return len(self._slates)

    def _serve(self, event: Served, served_at: float, watermark: float) -> None:
        key = f"{event.user_id}\0{event.request_id}"
        before = self._slates.get(key)
        if before is not None and before.event_id == event.event_id and before.served_at == served_at:
            self.counts.repeats += 1
            return
        if served_at <= self._horizon:
            self.counts.slates_too_late += 1
            return
        if before is not None:
            self.counts.slates_closed_early += 1
            self._drop(before)
        self.counts.slates += 1
        slate = _Slate(key, self._offset, watermark, event.event_id, served_at)
        slate.facts = encode_facts(
            SlateFacts(event.request_id, event.user_id, served_at, event.policy, event.params, event.variant, event.models, event.context or _NOWHERE)
        )
        # what the catalogue does not have makes examples, too: which ones there are must hang on the log alone
        videos = [self._video_of(shown.video_id) for shown in event.videos]
        self.counts.unknown_videos += videos.count(None)
        slate.video_ids = tuple(shown.video_id if video is None else video.video_id for shown, video in zip(event.videos, videos, strict=True))
        slate.durations = tuple(0.0 if video is None else video.duration_s for video in videos)
        slate.places = tuple(_place_facts(shown, position, video) for position, (shown, video) in enumerate(zip(event.videos, videos, strict=True)))
        self._slates[key] = slate
        self._by_offset.append(slate)
        heappush(self._by_age, (served_at, slate.offset, slate))
        if len(self._slates) > self._config.max_slates:
            self.counts.slates_closed_early += 1
            while self._by_age[0][2].forgotten:
                heappop(self._by_age)
            self._forget(self._by_age[0][0])

    def _join(self, event: Any, occurred_at: float, what: int) -> None:
        slate = self._slates.get(f"{event.user_id}\0{event.request_id}") if event.request_id else None
        if slate is None:
            self.counts.without_slate += 1
            return
        position = slate.position_of(event.video_id, event.position if what < example.FOLLOW else None)
        if position is None:
            self.counts.without_place += 1
            return
        found = slate.open.get(position)
        if found is None:
            found = slate.open[position] = _Open(slate.places[position], slate.durations[position])
            due = max(occurred_at + self._config.window_s, self._watermark + self._config.lateness_s)
            heappush(self._to_close, (due, slate.offset, position, slate))
        elif any(one.event_id == event.event_id for one in found.happened):
            self.counts.repeats += 1
            return
        if len(found.happened) >= MAX_HAPPENED:
            self.counts.too_many += 1
            return
        if what == example.WATCH:
            found.happened.append(Happened(occurred_at, event.event_id, what, event.watched_s, event.replays))
        elif what == example.SKIP:
            found.happened.append(Happened(occurred_at, event.event_id, what, event.watched_s))
        else:
            found.happened.append(Happened(occurred_at, event.event_id, what))
        if found.closed:
            self._correct(slate, found)
        elif not found.watched and what in (example.WATCH, example.SKIP):
            found.watched = True
            self.counts.watched += 1
            found.told = (*example.impression_of(found.happened), example.watch_labels(found.happened, found.duration_s))
            self._write(WATCHED, slate, found)

    def _close_due(self) -> None:
        """Closes what the watermark has reached."""
        while self._to_close and self._to_close[0][0] <= self._watermark:
            _, _, position, slate = heappop(self._to_close)
            if not slate.forgotten:
                self._close(slate, slate.open[position])

    def _close(self, slate: _Slate, found: _Open) -> None:
        if not found.closed:
            found.closed = True
            self.counts.closed += 1
            found.told = self._outcome(found)
            self._write(CLOSED, slate, found)

    def _correct(self, slate: _Slate, found: _Open) -> None:
        """Something came after closing; it is written again if it makes a difference."""
        self.counts.late += 1
        outcome = self._outcome(found)
        if outcome != found.told:
            self.counts.corrected += 1
            found.told = outcome
            self._write(CORRECTED, slate, found)

    def _outcome(self, found: _Open) -> tuple[float, bool, Labels]:
        labels = example.all_labels(found.happened, found.duration_s, self._config.window_s)
        return *example.impression_of(found.happened), labels

    def _forget(self, horizon: float) -> None:
        """Moves the horizon on: slates served until then take no more events, what is open of them is closed now."""
        if horizon <= self._horizon:
            return
        self._horizon = horizon
        while self._by_age and self._by_age[0][0] <= horizon:
            slate = heappop(self._by_age)[2]
            if not slate.forgotten:
                self._drop(slate)

    def _drop(self, slate: _Slate) -> None:
        for position in sorted(slate.open):
            self._close(slate, slate.open[position])
        slate.forgotten = True
        slate.facts, slate.video_ids, slate.durations, slate.places, slate.open = b"", (), (), (), {}  # it may stay in the queues for a while
        del self._slates[slate.key]
        while self._by_offset and self._by_offset[0].forgotten:
            self._by_offset.popleft()

    def _write(self, kind: str, slate: _Slate | None = None, found: _Open | None = None) -> None:
        replay_from, watermark, horizon = self._before
        origin = (kind, self.partition, self._offset, self._part, replay_from, watermark, horizon)
        self._part += 1
        if slate is None or found is None or found.told is None:
            self.made.append(encode_example(Example(*origin)))
            return
        found.version += 1
        facts: Any = (msgspec.Raw(slate.facts), msgspec.Raw(found.place))  # encoded already
        self.made.append(encode_example(Example(*origin, found.version, *found.told, *facts)))


def _place_facts(shown: ServedVideo, position: int, video: Video | None) -> bytes:
    known = len(shown.features) == WIDTH
    try:
        features = _pack(*shown.features) if known else struct.pack(f"<{len(shown.features)}f", *shown.features)
    except OverflowError:  # no float32: infinite, as NumPy has it
        with np.errstate(over="ignore"):
            features = np.array(shown.features, dtype="<f4").tobytes()
    return encode_facts(
        PlaceFacts(
            shown.video_id,
            "" if video is None else video.author_id,
            0.0 if video is None else video.duration_s,
            position,
            shown.sources,
            shown.score,
            shown.propensity,
            shown.reason,
            shown.predictions,
            features,
            FEATURES_VERSION if known else "",
        )
    )

"""An example: one place of a slate that was on screen, with everything known when it was served and what came of it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from reelrank.domain.event import Context, is_completion, is_long_view

WATCHED = "watched"  # the watch or skip is known; the engagements may still change
CLOSED = "closed"  # the window is over: everything is known
CORRECTED = "corrected"  # something late changed what was known when it was closed
PROGRESS = "progress"  # no example; shows how far attribution is when there was nothing to say


class SlateFacts(msgspec.Struct, frozen=True, array_like=True):
    """What all places of a slate share, as it was when they were served."""

    request_id: str
    user_id: str
    served_at: float
    policy: str
    params: str  # fingerprint of the FeedParams in force
    variant: str
    models: dict[str, str]  # artifact that took part -> its version
    context: Context


class PlaceFacts(msgspec.Struct, frozen=True, array_like=True):
    """One place of a slate, as it was when it was served."""

    video_id: str
    author_id: str  # empty = unknown, as the video is not in the catalogue
    duration_s: float  # 0 = unknown
    position: int
    sources: tuple[str, ...]
    score: float | None
    propensity: float | None  # None = unknown
    reason: str
    predictions: dict[str, float]
    features: bytes  # float32, little-endian
    features_version: str  # fingerprint of the features' names; empty if these are not the ones that this release knows


class Labels(msgspec.Struct, frozen=True, array_like=True):
    """What came of an impression; None where it is not known (yet)."""

    click: bool | None = None  # a watch that is not a skip
    long_view: bool | None = None
    completion: bool | None = None
    skip: bool | None = None
    watched_s: float | None = None
    replays: int | None = None
    like: bool | None = None
    share: bool | None = None
    follow: bool | None = None
    comment: bool | None = None
    hide: bool | None = None  # reports included


class Example(msgspec.Struct, frozen=True, array_like=True):
    """One record of an example. Of several with the same `example_id` the one with the highest `version` holds.

    `(offset, part)` is its origin: the record of EVENTS, in the same partition, whose fold made it, and the
    how-manieth of that fold it is. `replay_from`, `watermark` and `horizon` are all that it takes to come to the
    state just before that origin by folding again: where to begin, and with which times.
    """

    kind: str
    partition: int
    offset: int
    part: int
    replay_from: int
    watermark: float
    horizon: float
    version: int = 0
    impression_at: float = 0.0
    impression_seen: bool = False  # False: the impression itself never arrived; its moment is that of what followed
    labels: Labels = Labels()
    slate: SlateFacts | None = None  # None only in a record of progress
    place: PlaceFacts | None = None

    @property
    def example_id(self) -> str:
        """The slate and the place in it."""
        assert self.slate is not None and self.place is not None
        return f"{self.slate.request_id}/{self.place.position}"

    @property
    def origin(self) -> tuple[int, int]:
        """What made this record: grows from record to record of a partition, in the same steps whoever writes it."""
        return self.offset, self.part


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Example)


def encode_facts(facts: SlateFacts | PlaceFacts) -> bytes:
    """Facts as they lie inside an encoded example: encoded once, written with each of its records."""
    return _encoder.encode(facts)


def encode_example(example: Example) -> bytes:
    """One record of EXAMPLES."""
    return _encoder.encode(example)


def decode_example(record: bytes | memoryview) -> Example:
    """Reads one record of EXAMPLES. Raises msgspec.DecodeError if it is none."""
    return _decoder.decode(record)


class Origins:
    """Lets each record of EXAMPLES through once: a writer that lost its partition may repeat what the next one wrote, but neither leaves anything out."""

    def __init__(self, seen: Mapping[int, tuple[int, int]] | None = None) -> None:
        self.seen = dict(seen or {})  # partition -> the highest origin so far

    def is_new(self, record: Example) -> bool:
        """Whether no record with this origin, or a later one, has come before; notes it."""
        if record.origin <= self.seen.get(record.partition, (-1, -1)):
            return False
        self.seen[record.partition] = record.origin
        return True


# What can happen to a place of a slate, as attribution remembers it.
IMPRESSION, WATCH, SKIP, LIKE, UNLIKE, SHARE, COMMENT, HIDE, FOLLOW, UNFOLLOW = range(10)
_TAKES_BACK = {UNLIKE: LIKE, UNFOLLOW: FOLLOW}


class Happened(NamedTuple):
    """One event of an example. Sorted, these are in order of event time, the same whatever the order of arrival."""

    occurred_at: float
    event_id: str
    what: int  # IMPRESSION … UNFOLLOW
    watched_s: float = 0.0
    replays: int = 0


def impression_of(happened: Sequence[Happened]) -> tuple[float, bool]:
    """When the impression was, and whether it was reported itself. What is told of a video shows that it was on screen, at the latest then."""
    seen = [one.occurred_at for one in happened if one.what == IMPRESSION]
    return (min(seen), True) if seen else (min([one.occurred_at for one in happened]), False)


def watch_labels(happened: Sequence[Happened], duration_s: float) -> Labels:
    """What the earliest watch or skip says; engagements unknown."""
    watches = [one for one in happened if one.what == WATCH or one.what == SKIP]
    if not watches:
        return Labels()
    watch = min(watches)
    click = watch.what == WATCH
    return Labels(
        click=click,
        long_view=(click and is_long_view(watch.watched_s, duration_s)) if duration_s else None,
        completion=is_completion(watch.watched_s, duration_s) if duration_s else None,
        skip=not click,
        watched_s=watch.watched_s,
        replays=watch.replays,
    )


def all_labels(happened: Sequence[Happened], duration_s: float, window_s: float) -> Labels:
    """What the watch says, and which engagements stand at the end of the window after the impression. A like that was taken back does not."""
    end = impression_of(happened)[0] + window_s
    stands: set[int] = set()
    for one in sorted(happened):
        if one.what >= LIKE and one.occurred_at <= end:
            if one.what in _TAKES_BACK:
                stands.discard(_TAKES_BACK[one.what])
            else:
                stands.add(one.what)
    watched = watch_labels(happened, duration_s)
    return msgspec.structs.replace(watched, like=LIKE in stands, share=SHARE in stands, follow=FOLLOW in stands, comment=COMMENT in stands, hide=HIDE in stands)

"""Folded events: of what the log holds as much as the user fold reads."""

import logging
from collections.abc import Sequence

import msgspec

from reelrank.domain.event import (
    Block,
    Comment,
    Context,
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
    VideoPublished,
    VideoRemoved,
    Watch,
)
from reelrank.domain.video import UtcSeconds
from reelrank.features.repeats import NOTHING
from reelrank.storage.event_log import StoredRecord

logger = logging.getLogger(__name__)


class _ShownVideo(msgspec.Struct, frozen=True, gc=False):
    video_id: str


class FoldedServed(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="served"):
    """Of a slate what is folded: its features and predictions are most of what the log holds, and nobody's state."""

    event_id: str
    user_id: str
    videos: tuple[_ShownVideo, ...]
    context: Context | None = None

    @property
    def key(self) -> str:
        return self.user_id


class FoldedEvent(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A record of the log."""

    event: (
        FoldedServed | Impression | Watch | Skip | Like | Unlike | Share | Comment | Hide | Report | Follow | Unfollow | History
        | Block | Unblock | Topic | Reset | Profile | VideoPublished | VideoRemoved
    )  # fmt: skip
    received_at: UtcSeconds
    occurred_at: UtcSeconds


_decode = msgspec.msgpack.Decoder(FoldedEvent).decode


def by_offset(records: Sequence[StoredRecord], fingerprints: Sequence[bytes]) -> bytes:
    """The fingerprints of all offsets from the first record's to the last's; a log may leave offsets out."""
    first, last = records[0].offset, records[-1].offset
    if last - first + 1 == len(records):
        return b"".join(fingerprints)
    found = {record.offset: one for record, one in zip(records, fingerprints, strict=True)}
    return b"".join(found.get(offset, NOTHING) for offset in range(first, last + 1))


def decoded(record: StoredRecord) -> FoldedEvent | None:
    """The accepted event in a record; None, and an error in the log, for one that this release can't read: it must not stop the others."""
    try:
        return _decode(record.value)
    except msgspec.DecodeError as problem:
        logger.error("the record at offset %d can't be read and was not folded: %s", record.offset, problem)
        return None

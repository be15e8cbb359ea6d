"""What happens on a page or in the app, told apart by `type`; the wire, the log and the fold read the same structs.

No struct here can be part of a cycle, so the garbage collector need not look at them (`gc=False`): there are millions.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from reelrank.domain.video import REGION, Id, Language, Region, Seconds, Tag, UtcSeconds, Video

# A watch counts as long once it reaches this, or the video's end if that comes first (KuaiRand's definition).
LONG_VIEW_S = 18.0
NOT_PERSONAL = "reelrank-not-personal"  # the policy of slates that look at nothing of their user
COMPLETION = 0.95


class Context(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Where and how somebody watches."""

    device: Annotated[str, Meta(max_length=32)] = ""
    app_version: Annotated[str, Meta(max_length=32)] = ""
    place: Annotated[str, Meta(max_length=64)] = ""
    network: Annotated[str, Meta(max_length=16)] = ""
    bandwidth_kbps: Annotated[int, Meta(ge=0, le=100_000_000)] | None = None
    local_hour: Annotated[int, Meta(ge=0, le=23)] | None = None
    local_weekday: Annotated[int, Meta(ge=0, le=6)] | None = None  # 0 Monday to 6 Sunday, where the user is
    surface: Annotated[str, Meta(max_length=32)] = "for_you"
    region: Annotated[str, Meta(pattern=f"^({REGION})?$")] = ""  # where the user is by law, where that is not what their profile says


class _Event(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """`event_id` makes a repeat harmless; without `occurred_at` the moment of arrival counts."""

    event_id: Id
    occurred_at: UtcSeconds | None = None


class _UserEvent(_Event, frozen=True, gc=False, kw_only=True):
    user_id: Id
    context: Context | None = None
    request_id: Annotated[str, Meta(max_length=64)] = ""

    @property
    def key(self) -> str:
        """What the log is partitioned by: a user's events keep their order."""
        return self.user_id


class _VideoEvent(_UserEvent, frozen=True, gc=False, kw_only=True):
    """Something a user did with one video, shown at `position` (0 = top) of the slate `request_id`."""

    video_id: Id
    position: Annotated[int, Meta(ge=0, le=10_000)] | None = None


class ServedVideo(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One place of a slate: why this video, and what was known of it at that moment."""

    video_id: Id
    sources: tuple[str, ...] = ()
    score: float | None = None
    predictions: dict[str, float] = {}
    features: tuple[float, ...] = ()  # in the order of features.definitions.FEATURES
    propensity: Annotated[float, Meta(gt=0, le=1)] | None = None  # None = unknown
    reason: str = ""  # what the selector did with this place
    lifts: dict[str, float] = {}  # what the score was lifted by that neither predictions nor features tell: wishes of the user, business rules


class Rerun(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a slate depended on that neither its own record nor the offsets in it say."""

    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]  # of all chance in it
    count: Annotated[int, Meta(ge=1, le=200)]  # videos that were asked for
    exploration: bool = True
    named: bool = False  # the request had an id of its own
    catalogue: Annotated[int, Meta(ge=0)] = 0  # revision of the catalogue that the columns had reached
    rules: Annotated[int, Meta(ge=0)] = 0  # changes of the business rules that were known
    rows: Annotated[int, Meta(ge=0)] = 0  # log offset up to which learned rows were applied to the ranker
    filtered: bool = False  # the candidates waited from an earlier request, `scored_at`, and have passed the filters again
    chosen_for: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0  # then the log offset up to which the user's state was known who it was chosen for
    sources: tuple[str, ...] = ()  # that proposed something
    candidates: bytes = b""  # what they proposed, as of pipeline.packed_candidates


class Served(_UserEvent, tag="served", frozen=True, gc=False, kw_only=True):
    """A slate was put together for a user. `policy` names who chose it."""

    policy: Annotated[str, Meta(min_length=1, max_length=64)]
    videos: Annotated[tuple[ServedVideo, ...], Meta(min_length=1, max_length=200)]
    offsets: tuple[Annotated[int, Meta(ge=0, le=2**63 - 1)], ...] = ()  # the log offset of each partition that the counters had seen
    user_offset: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0  # the log offset of the user's partition that the user's state had seen
    scored_at: UtcSeconds | None = None  # when the videos were scored, if that was for an earlier request; then features, context and offsets are of then
    params: str = ""  # fingerprint of the FeedParams in force
    trace: dict[str, dict[str, float]] = {}  # per stage: milliseconds and counts
    variant: str = ""  # of the experiment, if the user is in one
    models: dict[str, str] = {}  # artifact that took part -> its version
    rerun: Rerun | None = None  # what it takes to make it again, from the log alone

    @property
    def personalized(self) -> bool:
        """Whether it was made from what is known of its user: nobody may learn from the others as if they were."""
        return self.policy != NOT_PERSONAL


class Impression(_VideoEvent, tag="impression", frozen=True, gc=False, kw_only=True):
    """The video was on screen."""


class Watch(_VideoEvent, tag="watch", frozen=True, gc=False, kw_only=True):
    """The video was left after `watched_s` seconds of playing, replays included."""

    watched_s: Seconds
    replays: Annotated[int, Meta(ge=0, le=10_000)] = 0
    stalled_s: Seconds = 0.0  # how long the player waited for data
    rendition: Annotated[int, Meta(ge=0, le=10_000)] = 0  # the height in pixels of what was played, 0 unknown


class Skip(_VideoEvent, tag="skip", frozen=True, gc=False, kw_only=True):
    """The video was swiped away without interest after `watched_s` seconds."""

    watched_s: Seconds = 0.0


class Like(_VideoEvent, tag="like", frozen=True, gc=False, kw_only=True):
    """The video was liked."""


class Unlike(_VideoEvent, tag="unlike", frozen=True, gc=False, kw_only=True):
    """A like was taken back."""


class Share(_VideoEvent, tag="share", frozen=True, gc=False, kw_only=True):
    """The video was sent to somebody, by `channel`."""

    channel: Annotated[str, Meta(max_length=32)] = ""


class Comment(_VideoEvent, tag="comment", frozen=True, gc=False, kw_only=True):
    """A comment was written under the video."""

    text: Annotated[str, Meta(max_length=4_000)] = ""


class Hide(_VideoEvent, tag="hide", frozen=True, gc=False, kw_only=True):
    """Not interested in this video; with `whole_author` in nothing by its author."""

    whole_author: bool = False


class Report(_VideoEvent, tag="report", frozen=True, gc=False, kw_only=True):
    """The video breaks the rules, says this user."""

    reason: Annotated[str, Meta(max_length=1_000)] = ""


class Follow(_UserEvent, tag="follow", frozen=True, gc=False, kw_only=True):
    """The user follows an author; `video_id` is the video that led to it, if one did."""

    author_id: Id
    video_id: Id | None = None


class Unfollow(_UserEvent, tag="unfollow", frozen=True, gc=False, kw_only=True):
    """The user no longer follows an author."""

    author_id: Id
    video_id: Id | None = None


class History(_UserEvent, tag="history", frozen=True, gc=False, kw_only=True):
    """What a user did before the log begins: in order, oldest first, without times, all before `occurred_at`."""

    watched: Annotated[tuple[Id, ...], Meta(max_length=1_000)] = ()
    long_viewed: Annotated[tuple[Id, ...], Meta(max_length=1_000)] = ()
    liked: Annotated[tuple[Id, ...], Meta(max_length=1_000)] = ()


class Block(_UserEvent, tag="block", frozen=True, gc=False, kw_only=True):
    """The user wants nothing more by an author, to a sound, or with a word in its caption or tags; `name` says which."""

    what: Literal["author", "sound", "word"]
    name: Id


class Unblock(_UserEvent, tag="unblock", frozen=True, gc=False, kw_only=True):
    """A block was taken back."""

    what: Literal["author", "sound", "word"]
    name: Id


class Topic(_UserEvent, tag="topic", frozen=True, gc=False, kw_only=True):
    """The user wants more or less under a tag than their watches say, or as much as these say again."""

    topic: Tag
    wish: Literal["more", "less", "usual"]


class Reset(_UserEvent, tag="reset", frozen=True, gc=False, kw_only=True):
    """The feed begins anew: what was watched and done until then says nothing of this user's taste any more. What was seen stays seen."""


class Profile(_UserEvent, tag="profile", frozen=True, gc=False, kw_only=True):
    """What the app knows of a user that decides what they may be shown. The newest one holds, whole: what it leaves out is unknown."""

    age: Annotated[int, Meta(ge=0, le=150)] | None = None
    region: Region | None = None  # where they live, or are
    languages: Annotated[tuple[Language, ...], Meta(max_length=16)] = ()  # that they understand; none = any


class VideoPublished(_Event, tag="video_published", frozen=True, gc=False, kw_only=True):
    """A video can be served from now on."""

    video: Video

    @property
    def key(self) -> str:
        return self.video.video_id


class VideoRemoved(_Event, tag="video_removed", frozen=True, gc=False, kw_only=True):
    """A video must not be served any more."""

    video_id: Id

    @property
    def key(self) -> str:
        return self.video_id


Event = (
    Served | Impression | Watch | Skip | Like | Unlike | Share | Comment | Hide | Report | Follow | Unfollow
    | History | Block | Unblock | Topic | Reset | Profile | VideoPublished | VideoRemoved
)  # fmt: skip


class Accepted(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An event as the collector accepted it: what the log holds.

    `occurred_at` is the event's own, or the arrival's if it had none or a clock ran ahead by `clamped_s` seconds.
    `imported`: no slate of this deployment vouches for it; it came from a sender who may tell what happened elsewhere.
    """

    event: Event
    received_at: UtcSeconds  # checked again when read: others may write to a log, too, and a time without a number stops a fold for good
    occurred_at: UtcSeconds
    clamped_s: float = 0.0
    imported: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Accepted)


def encode_accepted(accepted: Accepted) -> bytes:
    """One log record."""
    return _encoder.encode(accepted)


def decode_accepted(record: bytes | memoryview) -> Accepted:
    """Reads one log record. Raises msgspec.ValidationError if it is none."""
    return _decoder.decode(record)


def is_long_view(watched_s: float, duration_s: float) -> bool:
    """Whether a watch was long: `LONG_VIEW_S`, or to the end of a shorter video."""
    return watched_s >= min(LONG_VIEW_S, duration_s) and watched_s > 0


def is_completion(watched_s: float, duration_s: float) -> bool:
    """Whether a watch reached the end (`completion = watched_s / duration_s`, with a little slack for the last frames)."""
    return duration_s > 0 and watched_s >= COMPLETION * duration_s

"""Tests of the events on the wire and in the log."""

from typing import get_args

import msgspec
import pytest

from reelrank.domain.event import (
    Accepted,
    Block,
    Comment,
    Context,
    Event,
    Follow,
    Hide,
    History,
    Impression,
    Like,
    Profile,
    Report,
    Rerun,
    Reset,
    Served,
    ServedVideo,
    Share,
    Skip,
    Topic,
    Unblock,
    Unfollow,
    Unlike,
    VideoPublished,
    VideoRemoved,
    Watch,
    decode_accepted,
    encode_accepted,
    is_completion,
    is_long_view,
)
from reelrank.domain.video import Rendition, Video

HERE = Context(device="phone", app_version="1", place="Rome", network="5g", bandwidth_kbps=900, local_hour=23, surface="search", region="PT")
VIDEO = Video(
    video_id="v",
    author_id="a",
    duration_s=8.0,
    uploaded_at=1.0,
    tags=("cats",),
    effects=("glow",),
    renditions=(Rendition("f", 1, 2, 3),),
    not_in=("US-CA",),
    min_age=16,
)
SHOWN = ServedVideo(
    video_id="v", sources=("fresh",), score=0.5, predictions={"like": 0.1}, features=(1.0, 2.0), propensity=0.5, reason="best", lifts={"wished": 1.0}
)
BY = {"event_id": "e", "user_id": "u", "occurred_at": 5.0, "context": HERE, "request_id": "r"}
ON = {**BY, "video_id": "v", "position": 3}
EVENTS: list[Event] = [
    Served(**BY, policy="p", videos=(SHOWN,), offsets=(1, 2), params="f", trace={"sources": {"ms": 1.5}}, rerun=Rerun(seed=1, count=10, candidates=b"x")),
    Impression(**ON),
    Watch(**ON, watched_s=2.5, replays=1),
    Skip(**ON, watched_s=0.5),
    Like(**ON),
    Unlike(**ON),
    Share(**ON, channel="mail"),
    Comment(**ON, text="hé"),
    Hide(**ON, whole_author=True),
    Report(**ON, reason="spam"),
    Follow(**BY, author_id="a", video_id="v"),
    Unfollow(**BY, author_id="a"),
    History(**BY, watched=("v",), long_viewed=("v",), liked=("w",)),
    Block(**BY, what="word", name="crypto"),
    Unblock(**BY, what="author", name="a"),
    Topic(**BY, topic="cats", wish="more"),
    Reset(**BY),
    Profile(**BY, age=30, region="PT", languages=("pt",)),
    VideoPublished(event_id="e", video=VIDEO),
    VideoRemoved(event_id="e", video_id="v"),
]
every_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)


def test_every_type_of_event_is_tried_here() -> None:
    assert [type(event) for event in EVENTS] == list(get_args(Event))


@every_event
def test_an_event_is_the_same_on_the_wire_and_in_the_log(event: Event) -> None:
    wire = msgspec.json.encode(event)
    assert msgspec.json.decode(wire)["type"] == event.__struct_config__.tag
    assert msgspec.json.decode(wire, type=Event) == event
    accepted = Accepted(event, received_at=7.0, occurred_at=5.0, clamped_s=1.0)
    assert decode_accepted(encode_accepted(accepted)) == accepted


@every_event
def test_an_unknown_field_is_refused_by_name(event: Event) -> None:
    tree = msgspec.to_builtins(event)
    with pytest.raises(msgspec.ValidationError, match="surprise"):
        msgspec.convert({**tree, "surprise": 1}, Event)


@every_event
def test_an_event_can_not_be_changed(event: Event) -> None:
    with pytest.raises(AttributeError):
        event.event_id = "other"  # pyright: ignore[reportAttributeAccessIssue]


@every_event
def test_an_event_is_kept_with_its_user_or_its_video(event: Event) -> None:
    assert event.key == ("v" if isinstance(event, VideoPublished | VideoRemoved) else "u")


@pytest.mark.parametrize("region", ["Portugal", "P", "PT-", "US-CALI", "12"])
def test_a_region_is_a_country_or_a_part_of_one(region: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="region"):
        msgspec.convert({"type": "profile", "event_id": "e", "user_id": "u", "region": region}, Event)


def test_an_unknown_type_is_refused_by_name() -> None:
    with pytest.raises(msgspec.ValidationError, match="dance"):
        msgspec.json.decode(b'{"type": "dance", "event_id": "e", "user_id": "u"}', type=Event)


@pytest.mark.parametrize(
    ("watched_s", "duration_s", "long_view", "completion"),
    [
        (0.0, 10.0, False, False),
        (9.4, 10.0, False, False),
        (9.5, 10.0, False, True),
        (10.0, 10.0, True, True),
        (18.0, 60.0, True, False),
        (17.9, 60.0, False, False),
        (0.0, 0.0, False, False),
    ],
)
def test_a_watch_is_long_or_complete(watched_s: float, duration_s: float, long_view: bool, completion: bool) -> None:
    assert is_long_view(watched_s, duration_s) is long_view
    assert is_completion(watched_s, duration_s) is completion


@pytest.mark.parametrize("moment", [float("nan"), float("inf"), -1.0, 1e12])
def test_a_record_with_a_moment_that_is_none_can_not_be_read(moment: float) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_accepted(encode_accepted(Accepted(Like(event_id="1", user_id="u", video_id="v"), 0.0, moment)))

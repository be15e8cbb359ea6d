"""Rows of the lake: nothing of an event or an example is lost on the way."""

from datetime import UTC, date, datetime

import msgspec
import polars as pl
import pytest

from features.slates import FEATURES, NOW, Desk, accepted, event, served, watched
from reelrank.domain.event import Accepted, Comment, Event, Hide, History, Impression, Like, VideoPublished, decode_accepted, encode_accepted
from reelrank.domain.example import Example, decode_example
from reelrank.domain.video import Video
from reelrank.events.lake_rows import event_rows, example_rows
from reelrank.storage.event_log import StoredRecord
from reelrank.storage.lake_schema import EVENTS_TABLE, EXAMPLES_TABLE, schema_of


def rows_of(*events: Event) -> list[dict[str, object]]:
    return event_rows(3, [StoredRecord(10 + place, encode_accepted(accepted(one))) for place, one in enumerate(events)]).to_dicts()


def test_an_event_becomes_a_flat_row_and_stays_readable_as_it_was() -> None:
    (row,) = rows_of(watched("v2", at=5, watched_s=4.5, position=2, replays=1))
    given = {name: value for name, value in row.items() if value is not None}
    record = given.pop("record")
    assert isinstance(record, bytes)
    assert decode_accepted(record).event == watched("v2", at=5, watched_s=4.5, position=2, replays=1)
    moment = datetime.fromtimestamp(NOW + 5, UTC)
    assert given == {
        "day": date(2025, 6, 15), "partition": 3, "offset": 10, "type": "watch", "event_id": "Watch-r-v2-5", "occurred_at": moment, "received_at": moment,
        "clamped_s": 0.0, "user_id": "u", "video_id": "v2", "request_id": "r", "position": 2, "watched_s": 4.5, "replays": 1,
    }  # fmt: skip


def test_each_type_of_event_fills_the_columns_that_it_has() -> None:
    video = Video(video_id="new", author_id="a9", duration_s=3, uploaded_at=0)
    rows = rows_of(
        served(variant="b"),
        event(Impression, position=0),
        event(Comment, text="so good"),
        event(Hide, whole_author=True),
        History(event_id="h", user_id="u", occurred_at=NOW, watched=("v1", "v2")),
        VideoPublished(event_id="p", occurred_at=NOW, video=video),
        event(Like),
    )
    slate, impression, comment, hide, history, published, like = rows
    assert (slate["policy"], slate["params"], slate["variant"], slate["videos"]) == ("by_hand", "p1", "b", ["v0", "v1", "v2"])
    assert (slate["device"], slate["place"], slate["network"], slate["bandwidth_kbps"], slate["local_hour"]) == ("phone", "Rome", "4g", 900, 7)
    assert (impression["position"], impression["device"], impression["replays"]) == (0, None, None)
    assert (comment["text"], hide["whole_author"], like["whole_author"]) == ("so good", True, None)
    assert (history["videos"], history["video_id"]) == (["v1", "v2"], None)
    assert (published["video_id"], published["author_id"], published["user_id"]) == ("new", "a9", None)


def test_a_record_that_cannot_be_read_is_kept() -> None:
    frame = event_rows(0, [StoredRecord(0, b"from another world"), StoredRecord(1, encode_accepted(Accepted(event(Like), NOW, NOW)))])
    assert frame["type"].to_list() == ["unreadable", "like"]
    assert frame["record"][0] == b"from another world"


def made() -> list[Example]:
    desk = Desk()
    desk.fold(served(models={"click": "7"}), event(Impression), watched(), event(Like, at=8), event(Impression, at=2_000, request="", user="x"))
    return desk.everything()[1:]  # the first tells of progress


def test_an_example_becomes_a_flat_row() -> None:
    first, last = example_rows(made()).to_dicts()
    assert (first["kind"], first["version"], first["example_id"], first["partition"], first["offset"], first["part"]) == ("watched", 1, "r/0", 0, 2, 0)
    assert (last["kind"], last["version"], last["click"], last["skip"], last["watched_s"], last["like"], last["hide"]) == (
        "closed",
        2,
        True,
        False,
        4.0,
        True,
        False,
    )
    assert (first["click"], first["like"]) == (True, None)
    assert first["features"] == list(FEATURES)
    assert first["predictions"] == [{"head": "click", "value": 0.25}]
    assert first["models"] == [{"name": "click", "version": "7"}]
    assert (first["sources"], first["score"], first["propensity"], first["surface"]) == (["fresh"], 0.5, 0.5, "for_you")
    assert (first["served_at"], first["impression_at"]) == (datetime.fromtimestamp(NOW, UTC), datetime.fromtimestamp(NOW + 1, UTC))
    assert (first["day"], first["duration_s"], first["author_id"]) == (date(2025, 6, 15), 20.0, "a0")


def test_features_of_different_widths_lie_in_one_column() -> None:
    one, other = made()
    assert one.place is not None
    odd = msgspec.structs.replace(one, place=msgspec.structs.replace(one.place, features=b"\0\0\x80\x3f", features_version=""))
    frame = example_rows([one, odd, other])
    assert frame["features"].list.len().to_list() == [len(FEATURES), 1, len(FEATURES)]
    assert frame["features"][1].to_list() == [1.0]
    assert frame["features_version"].null_count() == 1


@pytest.mark.parametrize("frame", [event_rows(0, []), example_rows([])], ids=["events", "examples"])
def test_no_records_are_no_rows_of_the_same_columns(frame: pl.DataFrame) -> None:
    assert len(frame) == 0
    assert frame.schema in (schema_of(EVENTS_TABLE), schema_of(EXAMPLES_TABLE))


def test_progress_is_no_row() -> None:
    desk = Desk()
    desk.fold(served())
    with pytest.raises(ValueError, match="progress is no example"):
        example_rows([decode_example(one) for one in desk.attribution.made])

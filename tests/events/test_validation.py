"""What may enter the log, and what is said of what may not."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelrank.domain.event import Watch
from reelrank.events.validation import TooManyEvents, UnreadableBody, decode_batch, decode_one

WATCH = {"type": "watch", "event_id": "e-1", "user_id": "ana", "video_id": "v-1", "watched_s": 4.5}
VIDEO = {"video_id": "v-1", "author_id": "a-1", "duration_s": 8.0, "uploaded_at": 1.0}


def encoded(*events: Any) -> bytes:
    return json.dumps(list(events)).encode()


def with_url(url: str) -> dict[str, Any]:
    rendition = {"url": url, "bitrate_kbps": 1, "width": 1, "height": 1}
    return {"type": "video_published", "event_id": "p", "video": VIDEO | {"renditions": [rendition]}}


def reason(event: Any) -> str:
    """Why an event is refused, standing between two good ones that are not."""
    batch = decode_batch(encoded(WATCH | {"event_id": "before"}, event, WATCH | {"event_id": "after"}))
    assert [decoded.event.event_id for decoded in batch.events] == ["before", "after"]
    assert [decoded.index for decoded in batch.events] == [0, 2]
    (refused,) = batch.refused
    assert refused.index == 1
    return refused.reason


def test_an_array_and_an_object_with_an_array_are_the_same_batch() -> None:
    assert decode_batch(encoded(WATCH)) == decode_batch(json.dumps({"events": [WATCH]}).encode())
    assert decode_batch(b" \n\t" + encoded(WATCH)) == decode_batch(encoded(WATCH))


def test_a_large_body_is_read_event_by_event_to_the_same_result() -> None:
    body = encoded(*(WATCH | {"event_id": f"e-{place}"} for place in range(50)))
    assert decode_batch(body, max_event_bytes=len(body) - 1) == decode_batch(body)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"wached_s": 3}, "unknown field `wached_s`"),
        ({"watched_s": "long"}, "watched_s is 'long': Expected `float`, got `str`"),
        ({"watched_s": -1}, "watched_s is -1: Expected `float` >= 0.0"),
        ({"watched_s": None}, "watched_s is None"),
        ({"occurred_at": -5}, "occurred_at is -5"),
        ({"occurred_at": 1e15}, "occurred_at is 1000000000000000.0"),
        ({"type": "wach"}, "type is 'wach': Invalid value"),
        ({"type": 7}, "type is 7"),
        ({"user_id": ""}, "user_id is ''"),
        ({"video_id": "v" * 101}, "video_id is 'vvv"),
        ({"context": {"local_hour": 24}}, "context.local_hour is 24"),
        ({"context": {"os": "x"}}, "unknown field `os`"),
        ({"replays": 1.5}, "replays is 1.5"),
        ({"position": -1}, "position is -1"),
    ],
)
def test_a_bad_field_is_named_with_its_value(change: dict[str, Any], named: str) -> None:
    assert named in reason(WATCH | change)


@pytest.mark.parametrize("name", ["event_id", "user_id", "video_id", "request_id"])
@pytest.mark.parametrize("character", ["\0", "\n", "\x1b", "\x7f", "\x85", "\x9f"])
def test_an_id_with_a_control_character_is_refused(name: str, character: str) -> None:
    assert f"{name} " in reason(WATCH | {name: f"a{character}b"})
    assert f"U+{ord(character):04X}" in reason(WATCH | {name: f"a{character}b"})


def test_a_missing_field_is_named() -> None:
    assert "`user_id`" in reason({name: value for name, value in WATCH.items() if name != "user_id"})


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
def test_a_number_that_is_none_is_refused_and_the_rest_of_the_batch_is_not(value: str) -> None:
    bad = json.dumps(WATCH | {"event_id": "bad"}).replace("4.5", value)
    batch = decode_batch(f"[{json.dumps(WATCH)},{bad}]".encode())
    assert [decoded.event.event_id for decoded in batch.events] == ["e-1"]
    assert [refused.index for refused in batch.refused] == [1]


def test_half_a_surrogate_pair_is_refused_and_the_rest_of_the_batch_is_not() -> None:
    batch = decode_batch(encoded(WATCH, WATCH | {"user_id": "\ud83d"}))
    assert [decoded.index for decoded in batch.events] == [0]
    assert [refused.index for refused in batch.refused] == [1]


def test_bytes_that_are_no_utf_8_are_refused_and_the_rest_of_the_batch_is_not() -> None:
    batch = decode_batch(encoded(WATCH, WATCH | {"user_id": "MARK"}).replace(b"MARK", b"\xff\xfe"))
    assert [decoded.index for decoded in batch.events] == [0]
    assert "utf-8" in batch.refused[0].reason


def test_a_refused_event_keeps_its_id_and_its_bytes() -> None:
    raw = json.dumps(WATCH | {"event_id": "bad", "foo": 1}).encode()
    (refused,) = decode_batch(b"[" + raw + b"]").refused
    assert (refused.event_id, refused.raw) == ("bad", raw)


def test_an_event_that_is_too_large_is_refused_by_its_size() -> None:
    body = encoded(WATCH, WATCH | {"event_id": "x" * 2_000})
    (refused,) = decode_batch(body, max_event_bytes=1_000).refused
    assert "bytes; at most 1,000 are read" in refused.reason


@pytest.mark.parametrize("count", [1, 1_000])
def test_a_batch_has_1_to_1_000_events(count: int) -> None:
    assert len(decode_batch(encoded(*[WATCH] * count)).events) == count


def test_more_than_1_000_events_are_too_many() -> None:
    with pytest.raises(TooManyEvents, match="1,001 events"):
        decode_batch(encoded(*[WATCH] * 1_001))


@pytest.mark.parametrize(
    "body", [b"", b" ", b"[]", b"{}", b'{"events":[]}', b'{"events":{}}', b'{"event":[]}', b"3", b'"x"', b"null", b"[", b"[1,]", b"\xff\xfe", b"{" * 100]
)
def test_a_body_that_is_no_batch_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        decode_batch(body)


@pytest.mark.parametrize("opening", [b"[", b'{"events":[', b'[{"type":"watch","x":'])
def test_deep_nesting_is_unreadable(opening: bytes) -> None:
    with pytest.raises(UnreadableBody):
        decode_batch(opening * 100_000)


@pytest.mark.parametrize("url", ["clip.mp4", "a/b/clip.mp4", "ünï/😀.mp4", "..clip.mp4", "https://cdn.example/v.mp4?sig=1", "HTTP://cdn.example/v.mp4"])
def test_a_file_below_the_media_folder_and_a_url_are_fine(url: str) -> None:
    assert decode_batch(encoded(with_url(url))).refused == []


@pytest.mark.parametrize(
    "url",
    ["/etc/passwd", "../x", "a/../../x", "a/..", ".", "a//b", "a/./b", "a\\b", "..\\x", "C:/x", "c:x", "file:///etc/passwd", "javascript:alert(1)",
     "a\0b", "a\nb", "http://", "https:///x", "http://[", "http://a b/", "//host/x", "ftp://host/x", "data:video/mp4;base64,AA"],
)  # fmt: skip
def test_a_url_that_leads_elsewhere_is_refused(url: str) -> None:
    assert "video.renditions[0].url" in reason(with_url(url))


@given(st.binary(max_size=200))
def test_whatever_the_bytes_they_are_a_batch_or_unreadable(body: bytes) -> None:
    with suppress(UnreadableBody):
        decode_batch(body)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(WATCH)) | st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(_values | st.dictionaries(st.sampled_from([*WATCH, "context", "video", "videos"]), _values), min_size=1, max_size=4))
def test_whatever_the_json_every_event_is_decoded_or_refused(events: list[Any]) -> None:
    batch = decode_batch(encoded(*events))
    assert sorted([decoded.index for decoded in batch.events] + [refused.index for refused in batch.refused]) == list(range(len(events)))
    assert all(refused.reason for refused in batch.refused)


def test_emoji_and_right_to_left_scripts_are_kept_byte_for_byte() -> None:
    name = "👩‍👩‍👧‍👦 \u202bשלום\u202c مرحبا é e\u0301"
    event = decode_one(msgspec.json.encode(WATCH | {"user_id": name}))
    assert isinstance(event, Watch)
    assert event.user_id.encode() == name.encode()


def test_a_single_event_says_what_is_wrong_with_it() -> None:
    with pytest.raises(ValueError, match="watched_s is -1"):
        decode_one(json.dumps(WATCH | {"watched_s": -1}).encode())


_odd_text = st.text(st.characters(codec="utf-8", min_codepoint=0, max_codepoint=0x2FF) | st.sampled_from('\\/"é·£\x7f\x80\x9f\xa0😀'), min_size=1, max_size=6)


@given(st.lists(st.tuples(_odd_text, _odd_text, _odd_text), min_size=1, max_size=3), st.booleans())
def test_a_batch_read_at_once_is_the_batch_read_event_by_event(names: list[tuple[str, str, str]], escaped: bool) -> None:
    events = [WATCH | {"event_id": one, "user_id": two, "video_id": three} for one, two, three in names]
    body = json.dumps(events, ensure_ascii=escaped).encode()
    at_once, one_by_one = decode_batch(body), decode_batch(body, max_event_bytes=len(body) - 1)
    assert at_once.events == one_by_one.events
    assert [(refused.index, refused.reason) for refused in at_once.refused] == [(refused.index, refused.reason) for refused in one_by_one.refused]


@pytest.mark.parametrize("body", [b"[NaN," + b"{}," * 1_000_000 + b"{}]", b"[" + b"1," * 1_000_000 + b"1]"])
def test_too_many_are_refused_before_anything_is_done_for_each_of_them(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_value: object) -> str:
        raise AssertionError

    monkeypatch.setattr("reelrank.events.validation.json.dumps", never)
    with pytest.raises(TooManyEvents, match="1,000,00"):
        decode_batch(body)

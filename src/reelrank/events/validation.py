"""What may enter the log: reads a body of events and gives every bad one its own reason, so that the good ones go on."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from reelrank.domain.event import (
    Comment,
    Event,
    Follow,
    Hide,
    History,
    Impression,
    Like,
    Report,
    Served,
    Share,
    Skip,
    Unfollow,
    Unlike,
    VideoPublished,
    VideoRemoved,
    Watch,
)
from reelrank.domain.video import Video

MAX_EVENTS = 1_000
MAX_EVENT_BYTES = 1_000_000
_SHOWN_CHARS = 80  # of a value that an error message quotes

RefusalKind = Literal["unreadable", "content", "catalogue", "conflict", "slate", "scope"]


class KnownIds(Protocol):
    """The catalogue as the checks see it: which ids there are."""

    @property
    def authors(self) -> Mapping[str, int]:
        """Author id -> dense row."""
        ...

    @property
    def rows(self) -> Mapping[str, int]:
        """Video id -> dense row."""
        ...

    def refresh(self) -> int: ...


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """An event and its place in the body."""

    index: int
    event: Event


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that is kept out of the log: why, and as it came."""

    index: int
    event_id: str
    reason: str
    kind: RefusalKind
    raw: bytes


class Batch(NamedTuple):
    """A body, event by event."""

    events: list[Decoded]
    refused: list[Refused]


class UnreadableBody(Exception):
    """The body as a whole is no batch of events."""


class TooManyEvents(UnreadableBody):
    """The body holds more events than one batch may."""


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    events: list[Event]


class _RawBody(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


class _Name(msgspec.Struct):
    event_id: str = ""


_decode_list = msgspec.json.Decoder(list[Event]).decode
_decode_body = msgspec.json.Decoder(_Body).decode
_decode_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_raw_body = msgspec.json.Decoder(_RawBody).decode
_decode_event = msgspec.json.Decoder(Event).decode
_decode_name = msgspec.json.Decoder(_Name).decode
_NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# How one may stand in the strings of a JSON text: escaped, or as it is; those below 0x20 may not stand there as they are.
_CONTROL_IN_JSON = re.compile(rb"\\(?:[bfnrt]|u00(?:[01]|7[fF]|[89]))|\x7f|\xc2[\x80-\x9f]")
_ABOUT_ONE_VIDEO = frozenset({Impression, Watch, Skip, Like, Unlike, Share, Comment, Hide, Report, VideoRemoved})
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")


def decode_batch(body: bytes, max_event_bytes: int = MAX_EVENT_BYTES) -> Batch:
    """Reads a JSON array of events, or an object with one as `events`.

    Raises UnreadableBody when there is no such array, TooManyEvents when it is too long.
    """
    if len(body) <= max_event_bytes:  # then no single event is larger, and all are decoded in one go
        try:
            events = _decode_list(body) if _is_array(body) else _decode_body(body).events
        except _NO_JSON:
            pass
        else:
            _check_count(len(events))
            decoded = [Decoded(index, event) for index, event in enumerate(events)]
            # the search of the whole body spares looking at each text of it
            return _checked(decoded, []) if _may_hold_controls(body) or VideoPublished in set(map(type, events)) else Batch(decoded, [])
    events, refused = [], []
    for index, raw in enumerate(_raw_events(body)):
        try:
            if len(raw) > max_event_bytes:
                raise ValueError(f"the event has {len(raw):,} bytes; at most {max_event_bytes:,} are read")
            events.append(Decoded(index, _decode_event(raw)))
        except (ValueError, RecursionError) as problem:  # ValueError: what msgspec and Unicode raise
            refused.append(Refused(index, _event_id(raw), explain(problem, raw), "unreadable", raw))
    return _checked(events, refused)


def decode_one(raw: bytes) -> Event:
    """Reads a single event. Raises ValueError, saying what is wrong with it."""
    try:
        event = _decode_event(raw)
    except (ValueError, RecursionError) as problem:
        raise ValueError(explain(problem, raw)) from problem
    _check_content(event)
    return event


def refuse(decoded: Decoded, reason: str, kind: RefusalKind) -> Refused:
    """Keeps a decoded event out of the log."""
    return Refused(decoded.index, decoded.event.event_id, reason, kind, msgspec.json.encode(decoded.event))


def unknown_id(event: Event, known: KnownIds) -> str | None:
    """What an event refers to that the catalogue has not got, as a reason to refuse it; None if it has it all."""
    for video_id in _videos_in(event):
        if video_id not in known.rows:
            return f"video {quoted(video_id)} is not in the catalogue; publish it first with a video_published event"
    if isinstance(event, Follow | Unfollow) and event.author_id not in known.authors:
        return f"author {quoted(event.author_id)} is not in the catalogue; publish a video of theirs first with a video_published event"
    return None


def with_unknown_id(events: Iterable[Decoded], known: KnownIds) -> list[Decoded]:
    """The events that refer to something the catalogue has not got."""
    rows = known.rows
    return [
        decoded
        for decoded in events
        # nearly all are about one video, and this is the quick way to look it up
        if (decoded.event.video_id not in rows if type(decoded.event) in _ABOUT_ONE_VIDEO else unknown_id(decoded.event, known))  # pyright: ignore[reportAttributeAccessIssue]
    ]


def explain(problem: Exception, source: bytes | Mapping[str, object]) -> str:
    """The error of a decoder, with the value that it is about."""
    message, _, path = str(problem).partition(" - at `$")
    if isinstance(problem, RecursionError):
        return "the value is nested too deeply"
    if not isinstance(problem, msgspec.ValidationError):
        return message
    path = path.rstrip("`").lstrip(".")
    value = _value_at(source, path)
    return f"{path}{'' if value is None else f' is {value}'}: {message}" if path else message


def quoted(value: object) -> str:
    """A value as an error message shows it: in one line, and never too long."""
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARS else f"{shown[: _SHOWN_CHARS - 10]}… ({len(shown):,} characters)"


def control_character(text: str) -> str | None:
    """The first control character of a text, named; None if it has none."""
    found = _CONTROL.search(text)
    return None if found is None else f"U+{ord(found[0]):04X} at character {found.start()}"


def _is_array(body: bytes) -> bool:
    return body[:64].lstrip()[:1] == b"["


def _may_hold_controls(body: bytes) -> bool:
    """Whether some text of a JSON body may have a control character in it; hardly any body has."""
    return (b"\\" in body or b"\x7f" in body or b"\xc2" in body) and _CONTROL_IN_JSON.search(body) is not None


def _raw_events(body: bytes) -> list[bytes]:
    try:
        raws = _decode_raw_list(body) if _is_array(body) else _decode_raw_body(body).events
    except _NO_JSON as problem:
        return _lenient_events(body, problem)
    _check_count(len(raws))  # before anything is done for each of them: a small gzip holds millions
    return [bytes(raw) for raw in raws]


def _lenient_events(body: bytes, problem: Exception) -> list[bytes]:
    """Tells the events apart where one of them breaks the JSON of the whole: NaN, Infinity or half a surrogate pair."""
    shape = 'a batch is a JSON array of events, or {"events": [...]}'
    try:
        loaded = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableBody(f"the body can't be read: {explain(problem, body)}; {shape}") from problem
    events = loaded.get("events") if isinstance(loaded, dict) and loaded.keys() == {"events"} else loaded
    if not isinstance(events, list):
        raise UnreadableBody(f"the body is {quoted(loaded)}; {shape}") from problem
    _check_count(len(events))
    return [json.dumps(event).encode() for event in events]


def _check_count(count: int) -> None:
    if count == 0:
        raise UnreadableBody(f"the body holds no events; a batch has 1 to {MAX_EVENTS:,}")
    if count > MAX_EVENTS:
        raise TooManyEvents(f"the body holds {count:,} events; a batch has 1 to {MAX_EVENTS:,}: send them as several")


def _event_id(raw: bytes) -> str:
    try:
        return _decode_name(raw).event_id[:200]
    except (ValueError, RecursionError):
        return ""


def _checked(events: list[Decoded], refused: list[Refused]) -> Batch:
    good: list[Decoded] = []
    for decoded in events:
        try:
            _check_content(decoded.event)
        except ValueError as problem:
            refused.append(refuse(decoded, str(problem), "content"))
        else:
            good.append(decoded)
    return Batch(good, refused)


def _check_content(event: Event) -> None:
    """What the schema can't say. Raises ValueError."""
    for field, text in _names_in(event):
        if _CONTROL.search(text):
            raise ValueError(f"{field} {quoted(text)} has the control character {control_character(text)}; ids and names must not have any")
    if isinstance(event, VideoPublished):
        for place, rendition in enumerate(event.video.renditions):
            _check_url(f"video.renditions[{place}].url", rendition.url)


def _check_url(field: str, url: str) -> None:
    where = "a path below the media folder, or a URL with http:// or https://"
    if _CONTROL.search(url):
        raise ValueError(f"{field} {quoted(url)} has the control character {control_character(url)}; it must be {where}")
    if url.lower().startswith(("http://", "https://")):
        try:
            complete = bool(urlsplit(url).hostname)
        except ValueError:
            complete = False
        if not complete or " " in url:
            raise ValueError(f"{field} {quoted(url)} is no complete URL; it must be {where}")
    elif url.startswith("/") or "\\" in url or _SCHEME.match(url) or not {"", ".", ".."}.isdisjoint(url.split("/")):
        raise ValueError(f"{field} {quoted(url)} leads out of the media folder; it must be {where}")


def _names_in(event: Event) -> Iterator[tuple[str, str]]:
    """Every id and name of an event; those of a list in one piece, as almost none has anything wrong."""
    yield "event_id", event.event_id
    if isinstance(event, VideoPublished):
        yield from _names_of(event.video)
        return
    if not isinstance(event, VideoRemoved):
        yield "user_id", event.user_id
        yield "request_id", event.request_id
        if event.context is not None:
            yield "context.place", event.context.place
    if isinstance(event, Follow | Unfollow):
        yield "author_id", event.author_id
    if isinstance(event, Served):
        yield "policy", event.policy
    for video_id in _videos_in(event):
        yield "video_id", video_id


def _names_of(video: Video) -> Iterable[tuple[str, str]]:
    yield "video.video_id", video.video_id
    yield "video.author_id", video.author_id
    yield "video.sound_id", video.sound_id
    yield "video.place", video.place
    for tag in video.tags:
        yield "video.tags", tag


def _videos_in(event: Event) -> Iterable[str]:
    """The videos that an event refers to."""
    if isinstance(event, Served):
        return [shown.video_id for shown in event.videos]
    if isinstance(event, History):
        return [*event.watched, *event.long_viewed, *event.liked]
    if isinstance(event, VideoPublished):
        return ()
    return () if event.video_id is None else (event.video_id,)


def _value_at(source: bytes | Mapping[str, object], path: str) -> str | None:
    """The value that an error's path leads to, for the message; None where it leads nowhere."""
    try:
        value: Any = json.loads(source) if isinstance(source, bytes) else source
        for name, place in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
            value = value[int(place)] if place else value[name]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return quoted(value)

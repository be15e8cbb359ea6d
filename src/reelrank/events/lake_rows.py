"""Records of the log as rows of the lake's tables."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl

from reelrank.domain.event import Accepted, Context, History, Served, VideoPublished, decode_accepted
from reelrank.domain.example import Example
from reelrank.storage.event_log import StoredRecord
from reelrank.storage.lake_schema import EVENTS_TABLE, EXAMPLES_TABLE, schema_of

UNREADABLE = "unreadable"  # the type of a record that this release can't decode; it is kept as it is

_CONTEXT = Context.__struct_fields__
_NO_CONTEXT = (None,) * len(_CONTEXT)
_OF_EVENTS = (
    "event_id", "user_id", "video_id", "author_id", "request_id", "position", "watched_s", "replays", "channel", "text", "reason", "whole_author",
    "policy", "params", "variant",
)  # fmt: skip
_OF_LABELS = ("click", "long_view", "completion", "skip", "watched_s", "replays", "like", "share", "follow", "comment", "hide")
_OF_SLATES = ("request_id", "user_id", "policy", "params", "variant")
_OF_PLACES = ("video_id", "author_id", "duration_s", "position", "score", "propensity", "reason", "features_version")


def event_rows(partition: int, records: Sequence[StoredRecord]) -> pl.DataFrame:
    """Records of EVENTS, each a row; what a type of event does not have is null, and so is an empty text."""
    accepted = [_decoded(record) for record in records]
    plain = [[None if one is None else (getattr(one.event, name, None) or _real(one.event, name)) for name in _OF_EVENTS] for one in accepted]
    columns: dict[str, Any] = dict(zip(_OF_EVENTS, zip(*plain, strict=True), strict=True)) if plain else dict.fromkeys(_OF_EVENTS, ())
    for place, one in enumerate(accepted):
        if one is not None and type(one.event) is VideoPublished:
            columns["video_id"] = _put(columns["video_id"], place, one.event.video.video_id)
            columns["author_id"] = _put(columns["author_id"], place, one.event.video.author_id)
    columns |= _contexts([None if one is None else getattr(one.event, "context", None) for one in accepted])
    columns |= {
        "partition": [partition] * len(records),
        "offset": [record.offset for record in records],
        "type": [UNREADABLE if one is None else one.event.__struct_config__.tag for one in accepted],
        "occurred_at": _moments([0.0 if one is None else one.occurred_at for one in accepted]),
        "received_at": _moments([0.0 if one is None else one.received_at for one in accepted]),
        "clamped_s": [None if one is None else one.clamped_s for one in accepted],
        "videos": [_videos(one) for one in accepted],
        "record": [record.value for record in records],
    }
    columns["day"] = columns["occurred_at"].dt.date()
    return _frame(EVENTS_TABLE, columns)


def example_rows(examples: Sequence[Example]) -> pl.DataFrame:
    """Records of EXAMPLES, each a row."""
    slates, places = [one.slate for one in examples], [one.place for one in examples]
    if None in slates or None in places:
        raise ValueError("a record of progress is no example; leave it out")
    columns: dict[str, Any] = {name: [getattr(one.labels, name) for one in examples] for name in _OF_LABELS}
    columns |= {name: [getattr(slate, name) or None for slate in slates] for name in _OF_SLATES}
    columns |= {name: [_real(place, name) for place in places] for name in _OF_PLACES}
    columns |= {name: [getattr(one, name) for one in examples] for name in ("partition", "offset", "part", "example_id", "kind", "version", "impression_seen")}
    columns |= _contexts([slate.context for slate in slates if slate is not None])
    columns |= {
        "served_at": _moments([slate.served_at for slate in slates if slate is not None]),
        "impression_at": _moments([one.impression_at for one in examples]),
        "models": [[{"name": name, "version": version} for name, version in slate.models.items()] for slate in slates if slate is not None],
        "sources": [place.sources for place in places if place is not None],
        "predictions": [[{"head": head, "value": value} for head, value in place.predictions.items()] for place in places if place is not None],
        "features": _features([place.features for place in places if place is not None]),
    }
    columns["day"] = columns["served_at"].dt.date()
    return _frame(EXAMPLES_TABLE, columns)


def _decoded(record: StoredRecord) -> Accepted | None:
    try:
        return decode_accepted(record.value)
    except msgspec.DecodeError:
        return None


def _real(event: Any, name: str) -> Any:
    """0 and False are values, an empty text is none."""
    value = getattr(event, name, None)
    return None if value == "" else value


def _put(values: Sequence[Any], place: int, value: Any) -> list[Any]:
    changed = values if isinstance(values, list) else list(values)
    changed[place] = value
    return changed


def _videos(accepted: Accepted | None) -> tuple[str, ...] | None:
    """A slate's videos from the top, or a base history's from the oldest."""
    event = None if accepted is None else accepted.event
    if isinstance(event, Served):
        return tuple([shown.video_id for shown in event.videos])
    return event.watched if isinstance(event, History) else None


def _contexts(contexts: Iterable[Context | None]) -> dict[str, Sequence[Any]]:
    rows = [_NO_CONTEXT if one is None else [None if (value := getattr(one, name)) == "" else value for name in _CONTEXT] for one in contexts]
    return dict(zip(_CONTEXT, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(_CONTEXT, ())


def _moments(seconds: Sequence[float]) -> pl.Series:
    micros = np.rint(np.array(seconds, dtype=np.float64) * 1e6).astype(np.int64)
    return pl.Series(micros).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _features(packed: Sequence[bytes]) -> pl.Series:
    """Lists of float32; in one go when all are equally long, as they are but for slates from elsewhere."""
    widths = {len(one) // 4 for one in packed}
    if len(widths) == 1 and (width := widths.pop()):
        values = np.frombuffer(b"".join(packed), dtype="<f4").reshape(len(packed), width)
        return pl.Series(values).cast(pl.List(pl.Float32()))
    return pl.Series([np.frombuffer(one, dtype="<f4").tolist() for one in packed], dtype=pl.List(pl.Float32()))


def _frame(table: str, columns: dict[str, Any]) -> pl.DataFrame:
    schema = schema_of(table)
    return pl.DataFrame({name: columns[name] for name in schema}, schema=schema)

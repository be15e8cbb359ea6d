"""The tables of the lake: flat columns for analysts, and each event as it lies in the log."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

EVENTS_TABLE = "events"
EXAMPLES_TABLE = "examples"
TABLES = (EVENTS_TABLE, EXAMPLES_TABLE)
DAY = "day"  # what both are partitioned by: the UTC date of occurred_at, and of served_at

# Queries that ask for these skip files; statistics of the other columns would cost more than they save.
STATISTICS = {
    EVENTS_TABLE: ("partition", "offset", "occurred_at", "type", "user_id", "video_id"),
    EXAMPLES_TABLE: ("partition", "offset", "served_at", "kind", "user_id", "video_id"),
}


def schema_of(table: str) -> "pl.Schema":
    """The columns of a table. Columns may be added in a release, never renamed or given another meaning."""
    import polars as pl

    text, number, whole, flag, moment = pl.String(), pl.Float64(), pl.Int32(), pl.Boolean(), pl.Datetime("us", "UTC")
    texts = pl.List(text)
    context = {
        "surface": text,
        "device": text,
        "app_version": text,
        "place": text,
        "network": text,
        "bandwidth_kbps": whole,
        "local_hour": whole,
    }
    if table == EVENTS_TABLE:
        return pl.Schema(
            {
                "day": pl.Date(), "partition": whole, "offset": pl.Int64(), "type": text, "event_id": text, "occurred_at": moment, "received_at": moment,
                "clamped_s": number, "user_id": text, "video_id": text, "author_id": text, "request_id": text, "position": whole, **context,
                "watched_s": number, "replays": whole, "channel": text, "text": text, "reason": text, "whole_author": flag,
                "policy": text, "params": text, "variant": text, "videos": texts, "record": pl.Binary(),
            }
        )  # fmt: skip
    return pl.Schema(
        {
            "day": pl.Date(), "partition": whole, "offset": pl.Int64(), "part": whole, "example_id": text, "kind": text, "version": whole,
            "served_at": moment, "impression_at": moment, "impression_seen": flag, "request_id": text, "user_id": text, "video_id": text, "author_id": text,
            "position": whole, "duration_s": number, **context,
            "click": flag, "long_view": flag, "completion": flag, "skip": flag, "watched_s": number, "replays": whole,
            "like": flag, "share": flag, "follow": flag, "comment": flag, "hide": flag,
            "policy": text, "params": text, "variant": text, "models": pl.List(pl.Struct({"name": text, "version": text})),
            "sources": texts, "score": number, "propensity": number, "reason": text,
            "predictions": pl.List(pl.Struct({"head": text, "value": number})), "features": pl.List(pl.Float32()), "features_version": text,
        }
    )  # fmt: skip

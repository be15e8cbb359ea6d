"""Lake examples: everything that the trainers read, from the tables of a deployment."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from reelrank.domain.event import LONG_VIEW_S, NOT_PERSONAL, History, decode_accepted
from reelrank.domain.example import WATCHED
from reelrank.domain.user import Signal
from reelrank.events.lake_writer import copied_to
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import FEATURES_VERSION, WIDTH
from reelrank.features.tokens import Deeds, tokens_of
from reelrank.storage.lake import Lake
from reelrank.storage.lake_schema import EVENTS_TABLE, EXAMPLES_TABLE
from reelrank.training.examples import HEADS, Examples, ExamplesError, TrainingSet, Traits, labels_of

if TYPE_CHECKING:
    from deltalake import DeltaTable

_SIGNALS = {"like": Signal.LIKE, "share": Signal.SHARE, "comment": Signal.COMMENT, "hide": Signal.HIDE, "report": Signal.HIDE}
_IMPORTED = b"\xc3"  # a record is an array of msgpack, whose last field says whether it was imported
_ORIGIN = ("partition", "offset")


@dataclass
class LeftOut:
    """What the lake holds and nobody can learn from."""

    other_features: int = 0  # examples whose features are not those of this release
    not_finite: int = 0  # examples with nan or infinity among their features
    unknown_videos: int = 0  # examples of videos that are not in the catalogue (any more)
    not_personal: int = 0  # examples of slates that were made for nobody in particular
    before_reset: int = 0  # examples from before their user let the feed begin anew
    too_old: int = 0  # examples beyond the newest so many

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in asdict(self).items() if count) or "nothing"


class FromLake(NamedTuple):
    """Everything that the trainers read, and how much of EXAMPLES that is, by partition."""

    training_set: TrainingSet
    left_out: LeftOut
    offsets: dict[int, int]  # where who goes on learning goes on
    origins: dict[int, tuple[int, int]]


def from_lake(lake: Lake, columns: VideoColumns, since: float = 0.0, at_most: int = 10_000_000, partitions: int = 0) -> FromLake:
    """The newest `at_most` examples that were served from `since` (UTC seconds) on, each as its last record has it, and whole histories.

    A token counts from when it was known: when its event arrived, however long after it happened; of what was imported,
    from when it happened, because everything around it was imported as well. Raises ExamplesError if there is no example.
    """
    left_out = LeftOut()
    columns.refresh()
    video_rows = pl.DataFrame({"video_id": list(columns.rows), "video": list(columns.rows.values())}, schema={"video_id": pl.String, "video": pl.Int64})
    deeds = _deeds(lake, video_rows)
    table = lake.open(EXAMPLES_TABLE)  # one version of it: what it holds and how far it goes belong together
    copied = {partition: copied_to(table, partition) for partition in range(partitions)}
    shown = _examples(table, lake, video_rows, since, at_most, left_out)
    if shown.is_empty():
        raise ExamplesError(f"the lake at {lake.url} holds no example to learn from; left out: {left_out}; does the role lake run?")
    user_ids = np.unique(
        np.concatenate([shown["user_id"].to_numpy(), deeds.watches["user_id"].to_numpy(), deeds.signals["user_id"].to_numpy()]).astype(np.str_)
    )
    tokens = tokens_of(_as_deeds(deeds, user_ids, columns), columns.duration_s)
    found = TrainingSet(_as_examples(shown, user_ids, columns), tokens, Traits.of(columns), user_ids)
    origins = {partition: origin for partition, (_, origin) in copied.items() if origin is not None}
    return FromLake(found, left_out, {partition: offset for partition, (offset, _) in copied.items()}, origins)


def _examples(table: "DeltaTable", lake: Lake, video_rows: pl.DataFrame, since: float, at_most: int, left_out: LeftOut) -> pl.DataFrame:
    """An example a row, in order of `served_at`."""
    records = pl.scan_delta(table).filter(pl.col("served_at") >= datetime.fromtimestamp(since, UTC))
    watched_at = records.filter(pl.col("kind") == WATCHED).select("example_id", *(pl.col(name).alias(f"watch_{name}") for name in _ORIGIN))
    newest = records.sort("version").group_by("example_id", maintain_order=True).last()
    shown = newest.join(watched_at.unique("example_id"), on="example_id", how="left").collect()
    whole = shown.filter(pl.col("features_version") == FEATURES_VERSION)
    left_out.other_features = len(shown) - len(whole)
    known = whole.join(video_rows, on="video_id", how="inner")
    left_out.unknown_videos = len(whole) - len(known)
    finite = known.filter(pl.col("features").list.eval(pl.element().is_finite()).list.all())
    left_out.not_finite = len(known) - len(finite)
    personal = finite.filter(pl.col("policy").ne_missing(NOT_PERSONAL))
    left_out.not_personal = len(finite) - len(personal)
    valid = _after_reset(personal.with_columns(at_event=pl.col("served_at")), lake)
    left_out.before_reset = len(personal) - len(valid)
    left_out.too_old = max(len(valid) - at_most, 0)
    kept = valid.sort("served_at", "example_id").tail(at_most)
    origins = pl.scan_delta(lake.open(EVENTS_TABLE)).select(*(pl.col(name).alias(f"watch_{name}") for name in _ORIGIN), known_at=_known_at())
    return kept.lazy().join(origins, on=[f"watch_{name}" for name in _ORIGIN], how="left").sort("served_at", "example_id").collect()


def _as_examples(shown: pl.DataFrame, user_ids: NDArray[np.str_], columns: VideoColumns) -> Examples:
    labels = labels_of(len(shown))
    for place, head in enumerate(HEADS):
        happened = pl.col("replays") > 0 if head == "replay" else pl.col(head)
        labels[:, place] = shown.select(happened.cast(pl.Float32).fill_null(np.nan)).to_series().to_numpy()
    watched_s = shown["watched_s"].fill_null(np.nan).to_numpy()
    on_screen = _seconds(shown["impression_at"])
    return Examples(
        user=np.searchsorted(user_ids, shown["user_id"].to_numpy().astype(np.str_)),
        video=shown["video"].to_numpy(),
        served_at=_seconds(shown["served_at"]),
        known_at=np.where(shown["known_at"].is_null().to_numpy(), on_screen + np.nan_to_num(watched_s), shown["known_at"].fill_null(0.0).to_numpy()),
        surface=_surfaces(shown, columns),
        position=shown["position"].cast(pl.Int64).to_numpy(),
        features=shown["features"].explode().to_numpy().reshape(-1, WIDTH),
        labels=labels,
        watched_s=watched_s.astype(np.float32),
    )


@dataclass
class _Tables:
    """What everybody did: a watch, skip or signal a row."""

    watches: pl.DataFrame
    signals: pl.DataFrame


def _deeds(lake: Lake, video_rows: pl.DataFrame) -> _Tables:
    events = pl.scan_delta(lake.open(EVENTS_TABLE))
    told = (
        events.filter(pl.col("type").is_in(["watch", "skip", *_SIGNALS]))
        .select("type", "event_id", "user_id", "video_id", "watched_s", "replays", "surface", *_ORIGIN, at=_known_at(), at_event="occurred_at")
        .collect()
        .sort(*_ORIGIN)
        .unique(["user_id", "event_id"], keep="first", maintain_order=True)  # the log may hold what a client sent twice
        .join(video_rows, on="video_id", how="inner", maintain_order="left")
    )
    told = _after_reset(told, lake)
    histories = events.filter(pl.col("type") == "history").select(*_ORIGIN, "record", "user_id", at_event="occurred_at").collect().sort(*_ORIGIN)
    past = _histories(_after_reset(histories, lake), video_rows)
    of_signals = pl.col("type").is_in(list(_SIGNALS))
    return _Tables(
        watches=pl.concat([past.filter(~of_signals), told.filter(~of_signals)], how="diagonal"),
        signals=pl.concat([past.filter(of_signals), told.filter(of_signals)], how="diagonal")
        .with_columns(kind=pl.col("type").replace_strict(_SIGNALS))
        .unique(["user_id", "kind", "video"], keep="first", maintain_order=True),  # who likes a video again says nothing new
    )


def _after_reset(rows: pl.DataFrame, lake: Lake) -> pl.DataFrame:
    """The rows (with `user_id`, and `at_event` for when they happened) from after their user's last reset, as the fold leaves them; without `at_event`."""
    events = pl.scan_delta(lake.open(EVENTS_TABLE))
    resets = events.filter(pl.col("type") == "reset").group_by("user_id").agg(reset_at=pl.col("occurred_at").max()).collect()
    kept = (
        rows
        if resets.is_empty()
        else rows.join(resets, on="user_id", how="left", maintain_order="left")
        .filter(pl.col("reset_at").is_null() | (pl.col("at_event") > pl.col("reset_at")))
        .drop("reset_at")
    )
    return kept.drop("at_event")


def _histories(records: pl.DataFrame, video_rows: pl.DataFrame) -> pl.DataFrame:
    """What users did before the log began, as the stream folds it: what was not watched long counts as skipped, and nobody knows when it was."""
    rows: list[tuple[str, str, str, bool]] = []
    for record in records["record"]:
        event = decode_accepted(record).event
        if isinstance(event, History):
            recent, long_viewed = set(event.watched), set(event.long_viewed)
            watched = [*(one for one in event.long_viewed if one not in recent), *event.watched]
            rows += [("watch" if one in long_viewed else "skip", event.user_id, one, one in long_viewed) for one in watched]
            rows += [("like", event.user_id, one, False) for one in event.liked]
    schema = {"type": pl.String, "user_id": pl.String, "video_id": pl.String, "was_long": pl.Boolean}
    past = pl.DataFrame(rows, schema=schema, orient="row")
    return past.join(video_rows, on="video_id", how="inner", maintain_order="left").with_columns(at=pl.lit(None, pl.Float64))


def _as_deeds(tables: _Tables, user_ids: NDArray[np.str_], columns: VideoColumns) -> Deeds:
    watches, signals = tables.watches, tables.signals
    rows, watched_s = watches["video"].to_numpy(), watches["watched_s"].fill_null(np.nan).to_numpy()
    skipped, duration_s = (watches["type"] == "skip").to_numpy(), columns.duration_s[rows]
    long_view = ~skipped & (watched_s >= np.minimum(LONG_VIEW_S, duration_s)) & (watched_s > 0)
    return Deeds(
        users=len(user_ids),
        owner=np.searchsorted(user_ids, watches["user_id"].to_numpy().astype(np.str_)),
        rows=rows,
        occurred_at=watches["at"].fill_null(np.nan).to_numpy(),
        watched_s=watched_s,
        replays=watches["replays"].fill_null(0).cast(pl.Int64).to_numpy(),
        skipped=skipped,
        long_view=long_view | watches["was_long"].fill_null(False).to_numpy(),
        surface=_surfaces(watches, columns),
        signal_owner=np.searchsorted(user_ids, signals["user_id"].to_numpy().astype(np.str_)),
        signal_rows=signals["video"].to_numpy(),
        signal_at=signals["at"].fill_null(-np.inf).to_numpy(),
        kinds=signals["kind"].cast(pl.Int64).to_numpy(),
    )


def _known_at() -> pl.Expr:
    """UTC seconds."""
    at = pl.when(pl.col("record").bin.ends_with(_IMPORTED)).then("occurred_at").otherwise("received_at")
    return at.dt.epoch("us") / 1e6


def _seconds(moments: pl.Series) -> NDArray[np.float64]:
    return moments.dt.epoch("us").to_numpy() / 1e6


def _surfaces(table: pl.DataFrame, columns: VideoColumns) -> NDArray[np.int64]:
    """The number of each row's surface, 0 unknown."""
    return table["surface"].replace_strict(columns.surfaces, default=0, return_dtype=pl.Int64).fill_null(0).to_numpy()

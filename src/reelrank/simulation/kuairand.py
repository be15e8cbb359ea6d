"""KuaiRand-Pure, a short-video platform's public log, as our videos and events."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from reelrank.domain.event import Comment, Context, Event, Follow, Hide, History, Impression, Like, Served, ServedVideo, Share, Skip, Watch
from reelrank.domain.video import Video

POLICY = "kuairand-log"  # who chose what these users saw: the platform of the log, with propensities it does not tell
BEIJING = timezone(timedelta(hours=8))  # the log's days are days there

_COLUMNS = {
    "videos": ("video_id", "author_id", "upload_dt", "video_duration", "music_id", "tag"),
    "history": ("user_id", "last_time_ms", "watch_seq", "like_seq", "long_watch_seq"),
    "impressions": (
        "user_id", "video_id", "date", "time_ms", "tab", "is_click", "is_like", "is_follow", "is_comment", "is_forward", "is_hate",
        "long_view", "play_time_ms", "duration_ms",
    ),
}  # fmt: skip
_SIGNALS = ("liked", "commented", "shared", "followed", "hidden")


class DataError(Exception):
    """A data set is not what it should be; the message says which file and what to do."""


@dataclass(frozen=True, slots=True)
class Exposures:
    """One video on one screen each, in order of time, as columns of length n."""

    rows: NDArray[np.int64]  # (n,) the row in the file: what the ids of events are made from
    user_ids: NDArray[np.str_]  # (n,)
    video_ids: NDArray[np.str_]  # (n,)
    author_ids: NDArray[np.str_]  # (n,)
    days: NDArray[np.int64]  # (n,) Beijing's, as 20220425
    surfaces: NDArray[np.str_]  # (n,)
    shown_ms: NDArray[np.int64]  # (n,) UTC milliseconds
    ended_ms: NDArray[np.int64]  # (n,) when the watch was over and its outcome known
    clicked: NDArray[np.bool_]  # (n,) watched, not swiped away
    long_view: NDArray[np.bool_]  # (n,)
    liked: NDArray[np.bool_]  # (n,)
    commented: NDArray[np.bool_]  # (n,)
    shared: NDArray[np.bool_]  # (n,)
    followed: NDArray[np.bool_]  # (n,)
    hidden: NDArray[np.bool_]  # (n,)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def events(self) -> int:
        """How many events they are: served, impression and the watch's end, and what was done besides."""
        return 3 * len(self) + sum(int(getattr(self, signal).sum()) for signal in _SIGNALS)


class KuaiRand:
    """The data set in a folder that holds videos, history and impressions as Parquet files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tables = {name: self._read(name) for name in _COLUMNS}

    def videos(self) -> list[Video]:
        """The catalogue. A video without a duration gets the log's, and the middle one if that has none either."""
        from_log = (
            self._tables["impressions"]
            .filter(pl.col("duration_ms") > 0)
            .group_by("video_id")
            .agg(logged=pl.col("duration_ms").median())
            .cast({"video_id": pl.Int64})
        )
        table = self._tables["videos"].join(from_log, on="video_id", how="left", maintain_order="left")
        duration_ms = pl.coalesce("video_duration", "logged")
        table = table.with_columns(duration_ms=duration_ms.fill_null(duration_ms.median()))
        return [_video(line) for line in table.iter_rows(named=True)]

    def histories(self) -> list[History]:
        """What each user did before the log begins, one event each."""
        return [
            History(
                event_id=f"history-{line['user_id']}",
                user_id=str(line["user_id"]),
                occurred_at=line["last_time_ms"] / 1000,
                watched=_ids(line["watch_seq"]),
                long_viewed=_ids(line["long_watch_seq"]),
                liked=_ids(line["like_seq"]),
            )
            for line in self._tables["history"].sort("last_time_ms", "user_id").iter_rows(named=True)
        ]

    def days(self) -> tuple[int, int]:
        """The first and the last, as 20220425."""
        dates = _numbers(self._tables["impressions"]["date"])
        return int(dates.min()), int(dates.max())

    def exposures(self, from_day: int | None = None, until_day: int | None = None, limit: int | None = None, last: int | None = None) -> Exposures:
        """What was shown from `from_day` to `until_day` (as 20220425, both included): all, the first `limit` or the `last` so many."""
        table = self._tables["impressions"].with_row_index("row").sort("time_ms", "row")
        if from_day is not None:
            table = table.filter(pl.col("date") >= from_day)
        if until_day is not None:
            table = table.filter(pl.col("date") <= until_day)
        table = table.head(limit) if limit is not None else table
        table = table.tail(last) if last is not None else table
        authors = self._tables["videos"].select(pl.col("video_id").cast(table.schema["video_id"]), "author_id")
        table = table.join(authors, on="video_id", how="left", maintain_order="left")
        unknown = table.filter(pl.col("author_id").is_null())
        if len(unknown):
            raise DataError(f"{self._path('impressions')} shows video {unknown['video_id'][0]}, which {self._path('videos')} does not have")
        return Exposures(
            rows=_numbers(table["row"]),
            user_ids=table["user_id"].cast(pl.String).to_numpy().astype(np.str_),
            video_ids=table["video_id"].cast(pl.String).to_numpy().astype(np.str_),
            author_ids=table["author_id"].cast(pl.String).to_numpy().astype(np.str_),
            days=_numbers(table["date"]),
            surfaces=("tab-" + table["tab"].cast(pl.String)).to_numpy().astype(np.str_),
            shown_ms=_numbers(table["time_ms"]),
            ended_ms=_numbers(table["time_ms"]) + _numbers(table["play_time_ms"]),
            clicked=_flags(table["is_click"]),
            long_view=_flags(table["long_view"]),
            liked=_flags(table["is_like"]),
            commented=_flags(table["is_comment"]),
            shared=_flags(table["is_forward"]),
            followed=_flags(table["is_follow"]),
            hidden=_flags(table["is_hate"]),
        )

    def _read(self, name: str) -> pl.DataFrame:
        path = self._path(name)
        if not path.is_file():
            raise DataError(f"no file {path}: give the folder that holds videos.parquet, history.parquet and impressions.parquet")
        table = read_table(path)
        missing = [column for column in _COLUMNS[name] if column not in table.columns]
        if missing:
            raise DataError(f"{path} has no column {', '.join(missing)}; it has: {', '.join(table.columns)}")
        if table.is_empty() and name != "history":
            raise DataError(f"{path} has no rows; give the whole data set")
        return table.select(_COLUMNS[name])

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.parquet"


def refuse_empty(parts: Mapping[str, int], days: tuple[int, int]) -> None:
    """Raises DataError for the first of the `parts` that a log is cut into, by name, that has no exposure; `days` are its first and last."""
    for name, count in parts.items():
        if count == 0:
            raise DataError(f"no exposures {name}: the log has the days from {days[0]} to {days[1]}; give other test days (--test-from, --test-until)")


def read_table(path: Path) -> pl.DataFrame:
    """A Parquet file. Raises DataError if it is none, or broken."""
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise DataError(f"{path} can't be read as Parquet: {problem}; copy or write it again") from problem


def served_at(exposures: Exposures, place: int) -> Served:
    """The slate of one video that exposure `place` stands for; the running system fills in what it thinks of it."""
    row = int(exposures.rows[place])
    return Served(
        event_id=f"row-{row}-served",
        user_id=str(exposures.user_ids[place]),
        occurred_at=int(exposures.shown_ms[place]) / 1000,
        request_id=f"row-{row}",
        context=Context(surface=str(exposures.surfaces[place])),
        policy=POLICY,
        videos=(ServedVideo(video_id=str(exposures.video_ids[place]), sources=(POLICY,)),),
    )


def outcomes_at(exposures: Exposures, place: int) -> list[Event]:
    """What followed exposure `place`, all at the moment its watch was over."""
    what = _what(exposures, place)
    row = int(exposures.rows[place])
    ended_at = int(exposures.ended_ms[place]) / 1000
    watched_s = int(exposures.ended_ms[place] - exposures.shown_ms[place]) / 1000
    left = Watch if exposures.clicked[place] else Skip
    events: list[Event] = [left(event_id=f"row-{row}-left", occurred_at=ended_at, watched_s=watched_s, **what)]
    given = [bool(getattr(exposures, signal)[place]) for signal in _SIGNALS]
    if any(given):
        liked, commented, shared, followed, hidden = given
        if liked:
            events.append(Like(event_id=f"row-{row}-like", occurred_at=ended_at, **what))
        if commented:
            events.append(Comment(event_id=f"row-{row}-comment", occurred_at=ended_at, **what))
        if shared:
            events.append(Share(event_id=f"row-{row}-share", occurred_at=ended_at, **what))
        if followed:
            about = {name: value for name, value in what.items() if name != "position"}
            events.append(Follow(event_id=f"row-{row}-follow", occurred_at=ended_at, author_id=str(exposures.author_ids[place]), **about))
        if hidden:
            events.append(Hide(event_id=f"row-{row}-hide", occurred_at=ended_at, **what))
    return events


def impression_at(exposures: Exposures, place: int) -> Impression:
    """Exposure `place` came on screen."""
    return Impression(event_id=f"row-{int(exposures.rows[place])}-shown", occurred_at=int(exposures.shown_ms[place]) / 1000, **_what(exposures, place))


def events_in_order(exposures: Exposures) -> Iterator[Event]:
    """All events of the exposures, by the moment they occurred; at one moment, in the order of the file."""
    order = moments(exposures)
    for place, ended in zip(order.places.tolist(), order.ended.tolist(), strict=True):
        if ended:
            yield from outcomes_at(exposures, place)
        else:
            yield served_at(exposures, place)
            yield impression_at(exposures, place)


class Moments(NamedTuple):
    """Each exposure twice, in order of time: as it begins, and when its watch is over. Columns of length 2n."""

    at_ms: NDArray[np.int64]
    places: NDArray[np.int64]  # which exposure
    ended: NDArray[np.bool_]


def moments(exposures: Exposures) -> Moments:
    """When exposures begin and end, in order; what is shown and left in the same millisecond is shown first."""
    at_ms = np.concatenate([exposures.shown_ms, exposures.ended_ms])
    places = np.tile(np.arange(len(exposures)), 2)
    ended = np.repeat([False, True], len(exposures))
    order = np.lexsort((ended, places, at_ms))
    return Moments(at_ms[order], places[order], ended[order])


def _what(exposures: Exposures, place: int) -> dict[str, Any]:
    """The fields that all events of one exposure share."""
    return {
        "user_id": str(exposures.user_ids[place]),
        "video_id": str(exposures.video_ids[place]),
        "request_id": f"row-{int(exposures.rows[place])}",
        "position": 0,
        "context": Context(surface=str(exposures.surfaces[place])),
    }


def _video(line: dict[str, Any]) -> Video:
    tags = tuple(f"tag-{tag}" for tag in (line["tag"] or "").split(",") if tag)
    uploaded = datetime.combine(date.fromisoformat(line["upload_dt"]), datetime.min.time(), BEIJING)
    return Video(
        video_id=str(line["video_id"]),
        author_id=str(line["author_id"]),
        duration_s=line["duration_ms"] / 1000,
        uploaded_at=uploaded.timestamp(),
        caption=f"Video {line['video_id']}",
        tags=tags,
        sound_id=f"sound-{line['music_id']}" if line["music_id"] else "",
        language="zh",
    )


def _ids(numbers: list[int]) -> tuple[str, ...]:
    return tuple(map(str, numbers))


def _numbers(column: pl.Series) -> NDArray[np.int64]:
    return column.cast(pl.Int64).to_numpy()


def _flags(column: pl.Series) -> NDArray[np.bool_]:
    return (column == 1).to_numpy()

"""The catalogue in one SQLite file (WAL): readers never wait for the writer."""

import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sql
from sqlalchemy.event import listen
from sqlalchemy.exc import DatabaseError

from reelrank.domain.video import Video
from reelrank.storage.catalog import CatalogRow, VideoConflict
from reelrank.storage.event_log import StorageError

_tables = sql.MetaData()
_videos = sql.Table(
    "videos",
    _tables,
    sql.Column("row", sql.Integer, primary_key=True),
    sql.Column("video_id", sql.String, nullable=False, unique=True),
    sql.Column("revision", sql.Integer, nullable=False, unique=True),
    sql.Column("removed", sql.Boolean, nullable=False),
    sql.Column("author_row", sql.Integer, nullable=False),
    sql.Column("tag_rows", sql.JSON, nullable=False),
    sql.Column("sound_row", sql.Integer, nullable=False),
    sql.Column("place_row", sql.Integer, nullable=False),
    sql.Column("body", sql.LargeBinary, nullable=False),  # the Video as JSON
)
_names = sql.Table(
    "names",
    _tables,
    sql.Column("kind", sql.String, primary_key=True),
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("row", sql.Integer, nullable=False),
    sql.UniqueConstraint("kind", "row"),
)
_FIXED = ("author_id", "duration_s", "sound_id", "tags")
_IN_ONE_QUERY = 500
_decode = msgspec.json.Decoder(Video).decode


class SqliteCatalog:
    """A Catalog in the file `path`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._engine = sql.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        listen(self._engine, "connect", _prepare)
        listen(self._engine, "begin", _begin)
        self._writer = self._engine.execution_options(writes=True)
        with self._transaction(self._writer) as connection:
            _tables.create_all(connection)

    def publish(self, videos: Sequence[Video]) -> list[CatalogRow]:
        with self._transaction(self._writer) as connection:
            known = {row.video.video_id: row for row in _by_ids(connection, [video.video_id for video in videos])}
            rows = {kind: _assign(connection, kind, names) for kind, names in _names_in(videos).items()}
            next_row, revision = _next(connection, _videos.c.row, 0), _next(connection, _videos.c.revision, 1)
            changed: dict[int, CatalogRow] = {}
            for video in videos:
                before = known.get(video.video_id)
                if before is not None:
                    _refuse_conflict(before.video, video)
                    if before.video == video and not before.removed:
                        continue
                now = CatalogRow(
                    row=next_row if before is None else before.row,
                    revision=revision,
                    removed=False,
                    author_row=rows["author"][video.author_id],
                    tag_rows=tuple(rows["tag"][tag] for tag in dict.fromkeys(video.tags)),
                    sound_row=rows["sound"][video.sound_id] if video.sound_id else -1,
                    place_row=rows["place"][video.place] if video.place else -1,
                    video=video,
                )
                next_row, revision = next_row + (before is None), revision + 1
                known[video.video_id] = changed[now.row] = now
            if changed:
                connection.execute(_videos.insert().prefix_with("OR REPLACE"), [_stored(row) for row in changed.values()])
            return [known[video.video_id] for video in videos]

    def remove(self, video_ids: Sequence[str]) -> None:
        with self._transaction(self._writer) as connection:
            revision = _next(connection, _videos.c.revision, 1)
            shown = [row for row in _by_ids(connection, list(dict.fromkeys(video_ids))) if not row.removed]
            for place, row in enumerate(shown):
                connection.execute(_videos.update().where(_videos.c.row == row.row).values(removed=True, revision=revision + place))

    def get(self, video_id: str) -> CatalogRow | None:
        with self._transaction(self._engine) as connection:
            return next(iter(_by_ids(connection, [video_id])), None)

    def changes(self, after: int, at_most: int = 10_000) -> list[CatalogRow]:
        query = _videos.select().where(_videos.c.revision > after).order_by(_videos.c.revision).limit(at_most)
        with self._transaction(self._engine) as connection:
            return [_loaded(row) for row in connection.execute(query)]

    def names(self, kind: str, after: int = -1) -> Iterator[tuple[int, str]]:
        query = sql.select(_names.c.row, _names.c.name).where(_names.c.kind == kind, _names.c.row > after).order_by(_names.c.row)
        with self._transaction(self._engine) as connection:
            found = connection.execute(query).all()
        yield from ((row, name) for row, name in found)

    def place_rows(self, places: Sequence[str]) -> dict[str, int]:
        with self._transaction(self._writer) as connection:
            return _assign(connection, "place", places)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self, engine: sql.Engine) -> Generator[sql.Connection]:
        try:
            with engine.begin() as connection:
                yield connection
        except DatabaseError as problem:
            raise StorageError(f"the catalogue at {self._path} can't be used: {problem.orig}; is the disk full, or does another process hold it?") from problem


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, as writers from their first line
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: sql.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _by_ids(connection: sql.Connection, video_ids: Sequence[str]) -> list[CatalogRow]:
    found: list[CatalogRow] = []
    for start in range(0, len(video_ids), _IN_ONE_QUERY):
        query = _videos.select().where(_videos.c.video_id.in_(video_ids[start : start + _IN_ONE_QUERY]))
        found += [_loaded(row) for row in connection.execute(query)]
    return found


def _assign(connection: sql.Connection, kind: str, names: Sequence[str]) -> dict[str, int]:
    """The rows of `names`, new ones given out in the order they come."""
    rows: dict[str, int] = {}
    wanted = list(dict.fromkeys(names))
    for start in range(0, len(wanted), _IN_ONE_QUERY):
        query = sql.select(_names.c.name, _names.c.row).where(_names.c.kind == kind, _names.c.name.in_(wanted[start : start + _IN_ONE_QUERY]))
        rows |= {name: row for name, row in connection.execute(query)}
    new = [name for name in wanted if name not in rows]
    if new:
        first = connection.execute(sql.select(sql.func.max(_names.c.row)).where(_names.c.kind == kind)).scalar()
        start = 0 if first is None else first + 1
        rows |= {name: row for row, name in enumerate(new, start)}
        connection.execute(_names.insert(), [{"kind": kind, "name": name, "row": rows[name]} for name in new])
    return rows


def _names_in(videos: Sequence[Video]) -> Mapping[str, list[str]]:
    return {
        "author": [video.author_id for video in videos],
        "tag": [tag for video in videos for tag in video.tags],
        "sound": [video.sound_id for video in videos if video.sound_id],
        "place": [video.place for video in videos if video.place],
    }


def _next(connection: sql.Connection, column: sql.Column[int], first: int) -> int:
    last = connection.execute(sql.select(sql.func.max(column))).scalar()
    return first if last is None else last + 1


def _stored(row: CatalogRow) -> dict[str, object]:
    fields = row._asdict()
    video = fields.pop("video")
    return {**fields, "video_id": video.video_id, "tag_rows": list(row.tag_rows), "body": msgspec.json.encode(video)}


def _loaded(row: sql.Row[Any]) -> CatalogRow:
    return CatalogRow(row.row, row.revision, row.removed, row.author_row, tuple(row.tag_rows), row.sound_row, row.place_row, _decode(row.body))


def _refuse_conflict(before: Video, now: Video) -> None:
    for field in _FIXED:
        if getattr(before, field) != getattr(now, field):
            raise VideoConflict(
                f"video {now.video_id!r} is known with {field} {getattr(before, field)!r}, now {getattr(now, field)!r}; "
                "its counters were folded with the former: publish it under a new video_id"
            )

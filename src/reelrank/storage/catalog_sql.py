"""The catalogue as SQL: what all databases have in common, which is everything but how they are opened."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sql

from reelrank.domain.video import Video
from reelrank.storage.catalog import CatalogRow, VideoConflict
from reelrank.storage.database import Database
from reelrank.storage.schema import TABLES

_videos = sql.Table(
    "videos",
    TABLES,
    sql.Column("row", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("video_id", sql.String, nullable=False, unique=True),
    sql.Column("revision", sql.BigInteger().with_variant(sql.Integer, "sqlite"), nullable=False, unique=True),
    sql.Column("removed", sql.Boolean, nullable=False),
    sql.Column("author_row", sql.Integer, nullable=False),
    sql.Column("tag_rows", sql.JSON, nullable=False),
    sql.Column("sound_row", sql.Integer, nullable=False),
    sql.Column("place_row", sql.Integer, nullable=False),
    sql.Column("body", sql.LargeBinary, nullable=False),  # the Video as JSON
)
_names = sql.Table(
    "names",
    TABLES,
    sql.Column("kind", sql.String, primary_key=True),
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("row", sql.Integer, nullable=False),
    sql.UniqueConstraint("kind", "row"),
)
_RENEWED = _videos.update().where(_videos.c.row == sql.bindparam("this_row"))
_FIXED = ("author_id", "duration_s", "sound_id", "tags")
_IN_ONE_QUERY = 500
_decode = msgspec.json.Decoder(Video).decode


class SqlCatalog:
    """A Catalog in a database.

    Writers take turns (`Database.writing`), so rows and revisions are given out by looking at the highest one there is:
    no sequence that leaves gaps when a transaction fails, and none whose numbers are committed out of order.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def publish(self, videos: Sequence[Video]) -> list[CatalogRow]:
        with self._database.writing() as connection:
            known = {row.video.video_id: row for row in _by_ids(connection, [video.video_id for video in videos])}
            rows = {kind: _assign(connection, kind, names) for kind, names in _names_in(videos).items()}
            first_new = next_row = _next(connection, _videos.c.row, 0)
            revision = _next(connection, _videos.c.revision, 1)
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
            _write(connection, [row for row in changed.values() if row.row >= first_new], _videos.insert())
            _write(connection, [row for row in changed.values() if row.row < first_new], _RENEWED)
            return [known[video.video_id] for video in videos]

    def remove(self, video_ids: Sequence[str]) -> None:
        with self._database.writing() as connection:
            revision = _next(connection, _videos.c.revision, 1)
            shown = [row for row in _by_ids(connection, list(dict.fromkeys(video_ids))) if not row.removed]
            _write(connection, [row._replace(removed=True, revision=revision + place) for place, row in enumerate(shown)], _RENEWED)

    def get(self, video_id: str) -> CatalogRow | None:
        with self._database.reading() as connection:
            return next(iter(_by_ids(connection, [video_id])), None)

    def changes(self, after: int, at_most: int = 10_000) -> list[CatalogRow]:
        query = _videos.select().where(_videos.c.revision > after).order_by(_videos.c.revision).limit(at_most)
        with self._database.reading() as connection:
            return [_loaded(row) for row in connection.execute(query)]

    def names(self, kind: str, after: int = -1) -> Iterator[tuple[int, str]]:
        query = sql.select(_names.c.row, _names.c.name).where(_names.c.kind == kind, _names.c.row > after).order_by(_names.c.row)
        with self._database.reading() as connection:
            found = connection.execute(query).all()
        yield from ((row, name) for row, name in found)

    def name_rows(self, kind: str, names: Sequence[str]) -> dict[str, int]:
        with self._database.writing() as connection:
            return _assign(connection, kind, names)

    def close(self) -> None:
        self._database.close()


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
        for start in range(0, len(new), _IN_ONE_QUERY):
            connection.execute(_names.insert(), [{"kind": kind, "name": name, "row": rows[name]} for name in new[start : start + _IN_ONE_QUERY]])
    return rows


def _write(connection: sql.Connection, rows: Sequence[CatalogRow], how: sql.Insert | sql.Update) -> None:
    for start in range(0, len(rows), _IN_ONE_QUERY):
        connection.execute(how, [_stored(row) for row in rows[start : start + _IN_ONE_QUERY]])


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
    return {**fields, "this_row": row.row, "video_id": video.video_id, "tag_rows": list(row.tag_rows), "body": msgspec.json.encode(video)}


def _loaded(row: sql.Row[Any]) -> CatalogRow:
    return CatalogRow(row.row, row.revision, row.removed, row.author_row, tuple(row.tag_rows), row.sound_row, row.place_row, _decode(row.body))


def _refuse_conflict(before: Video, now: Video) -> None:
    for field in _FIXED:
        if getattr(before, field) != getattr(now, field):
            raise VideoConflict(
                f"video {now.video_id!r} is known with {field} {getattr(before, field)!r}, now {getattr(now, field)!r}; "
                "its counters were folded with the former: publish it under a new video_id"
            )

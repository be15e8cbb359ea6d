"""Tests that one read sees what its parts see."""

from pathlib import Path

import numpy as np

from features.folded_world import NOW, World, rows
from reelrank.domain.event import Context, Follow, Like, Watch
from reelrank.domain.video import Video
from reelrank.features.columns import VideoColumns
from reelrank.features.reader import FeatureReader
from reelrank.features.standings import standings_of
from reelrank.features.windows import COUNTERS, WIDTH
from reelrank.storage.counter_store import Kind

_NOTHING = np.zeros((1, WIDTH), dtype=np.int32)


def test_a_reading_equals_its_parts(world: World) -> None:
    world.see(
        *[
            Watch(event_id=f"{user} {video}", user_id=user, video_id=f"v{video}", watched_s=9.0, occurred_at=NOW, context=Context(surface="search"))
            for user in ("ana", "ben")
            for video in range(4)
        ],
        Like(event_id="like", user_id="ben", video_id="v2", occurred_at=NOW),
        Follow(event_id="follow", user_id="ben", author_id="a1", occurred_at=NOW),
    )
    wanted = rows(4, 2, 0, 2)
    reading = world.reader.read(
        world.reader.users(("ben", "nobody")), rows(0, 1, 1, 0), wanted, np.full(2, NOW), (Context(surface="search"), Context(surface="unheard of"))
    )
    assert [user.user_id for user in reading.users] == ["ben", "nobody"]
    assert reading.users[0].liked.tolist() == world.user("ben").liked.tolist() == [2]
    assert reading.users[0].followed.tolist() == [1]
    assert len(reading.users[1].watches) == 0
    assert (reading.rows.tolist(), reading.owner.tolist()) == ([4, 2, 0, 2], [0, 1, 1, 0])
    columns = world.columns
    assert reading.surfaces.tolist() == [2, 0]
    here = np.array([2 << 32, -1, -1, 2 << 32])
    on_surface, on_length = np.where(here >= 0, here | wanted, -1), np.where(here >= 0, here | columns.length_class[wanted], -1)
    for kind, found, keys in (
        (Kind.VIDEO, reading.video, wanted),
        (Kind.AUTHOR, reading.author, columns.author_row[wanted]),
        (Kind.TAG, reading.tag, columns.tag_rows[wanted][reading.tag_at]),
        (Kind.SOUND, reading.sound, columns.sound_row[wanted]),
        (Kind.SURFACE, reading.surface, rows(2, -1)),
        (Kind.SURFACE_VIDEO, reading.surface_video, on_surface),
        (Kind.SURFACE_LENGTH, reading.surface_length, on_length),
        (Kind.EVERYTHING, reading.everything, rows(0)),
    ):
        records = np.concatenate([world.reader.counters(kind, rows(key)) if key >= 0 else _NOTHING for key in keys.tolist()])
        alone = standings_of(records, np.full(len(records), NOW))
        for part, there in zip(found, alone, strict=True):
            assert len(part) == 0 or part.tolist() == there.tolist()
    assert reading.video.week[0].any() == 0
    assert reading.video.week[1].any()
    assert reading.origins == world.store.offsets() == (10,)
    assert [user.offset for user in reading.users] == [10, 10]


def test_a_reading_of_no_videos_still_has_its_user(world: World) -> None:
    world.see(Like(event_id="1", user_id="ana", video_id="v1"))
    reading = world.reader.read(world.reader.users(("ana",)), rows(), rows(), np.array([NOW]))
    assert reading.users[0].liked.tolist() == [1]
    assert reading.video.totals.shape == reading.author.totals.shape == reading.tag.totals.shape == (0, COUNTERS)


def test_whoever_reads_a_user_knows_the_videos_that_were_published_a_moment_ago(world: World, tmp_path: Path) -> None:
    elsewhere = VideoColumns(world.catalog, tmp_path / "elsewhere")  # of another machine, which looks at the catalogue now and then
    reader = FeatureReader(world.store, world.counters, elsewhere)
    for number, newest in enumerate(("watched", "liked")):
        video = Video(video_id=newest, author_id="a1", duration_s=7.0 + number, uploaded_at=NOW)
        world.catalog.publish([video])
        happened = Watch(event_id="1", user_id="ana", video_id="watched", watched_s=5.0) if number == 0 else Like(event_id="2", user_id="ana", video_id="liked")
        world.see(happened)
        row = reader.user("ana").newest_row
        assert elsewhere.videos[row] == video
        assert elsewhere.duration_s[row] == video.duration_s

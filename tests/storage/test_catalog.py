"""The contract of Catalog, over every backend."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from reelrank.domain.video import Rendition, Video
from reelrank.storage.catalog import Catalog, CatalogRow, VideoConflict
from reelrank.storage.catalog_sqlite import SqliteCatalog
from reelrank.storage.event_log import StorageError
from storage.backends import CATALOGS, Start

Opener = Callable[[], Catalog]


@pytest.fixture(params=CATALOGS)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def place(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> str:
    """Where a catalogue of this backend can be: nobody has opened it yet."""
    if backend == "postgresql":
        return request.getfixturevalue("postgresql").new_database()
    return str(tmp_path / "catalog")


@pytest.fixture
def open_catalog(backend: str, place: str) -> Iterator[Opener]:
    with ExitStack() as opened:

        def _open() -> Catalog:
            catalog = CATALOGS[backend](place)
            opened.callback(catalog.close)
            return catalog

        yield _open


@pytest.fixture
def catalog(open_catalog: Opener) -> Catalog:
    return open_catalog()


def video(video_id: str, **fields: object) -> Video:
    return msgspec.convert({"video_id": video_id, "author_id": "ada", "duration_s": 8.0, "uploaded_at": 5.0, **fields}, Video)


def test_rows_are_dense_and_for_good(open_catalog: Opener) -> None:
    catalog = open_catalog()
    assert [row.row for row in catalog.publish([video("a"), video("b")])] == [0, 1]
    catalog.remove(["b"])
    catalog.close()
    again = open_catalog()
    assert [row.row for row in again.publish([video("c"), video("a"), video("b")])] == [2, 0, 1]


def test_authors_tags_sounds_and_places_have_dense_rows_of_their_own(catalog: Catalog) -> None:
    first, second, third = catalog.publish(
        [
            video("a", tags=("cats", "fun"), sound_id="s1", place="Rome"),
            video("b", author_id="bob", tags=("fun", "dogs")),
            video("c", sound_id="s2", place="Rome", tags=("dogs", "dogs")),
        ]
    )
    assert (first.author_row, first.tag_rows, first.sound_row, first.place_row) == (0, (0, 1), 0, 0)
    assert (second.author_row, second.tag_rows, second.sound_row, second.place_row) == (1, (1, 2), -1, -1)
    assert (third.author_row, third.tag_rows, third.sound_row, third.place_row) == (0, (2,), 1, 0)
    assert list(catalog.names("tag")) == [(0, "cats"), (1, "fun"), (2, "dogs")]
    assert list(catalog.names("tag", after=1)) == [(2, "dogs")]
    assert catalog.name_rows("place", ["Oslo", "Rome", "Oslo"]) == {"Oslo": 1, "Rome": 0}


def test_a_video_comes_back_as_it_was_published(catalog: Catalog) -> None:
    published = video(
        "ü", caption="hé \u0000", tags=("x",), effects=("glow",), language="tr", renditions=[{"url": "f.mp4", "bitrate_kbps": 1, "width": 2, "height": 3}]
    )
    [row] = catalog.publish([published])
    assert catalog.get("ü") == row
    assert row.video == published
    assert catalog.get("nobody") is None


def test_publishing_again_renews_what_may_change(catalog: Catalog) -> None:
    [before] = catalog.publish([video("a")])
    renewed = video("a", caption="new", language="fr", place="Oslo", effects=("glow",), renditions=[Rendition("f.mp4", 1, 2, 3)])
    [after] = catalog.publish([renewed])
    assert after.row == before.row
    assert after.revision > before.revision
    assert catalog.get("a") == after
    assert after.video == renewed


def test_publishing_the_same_again_changes_nothing(catalog: Catalog) -> None:
    [before] = catalog.publish([video("a", tags=("cats",))])
    assert catalog.publish([video("a", tags=("cats",))] * 2) == [before, before]
    assert catalog.changes(before.revision) == []


def test_a_video_twice_in_one_batch_is_one_video(catalog: Catalog) -> None:
    first, second, other = catalog.publish([video("a"), video("a", caption="later"), video("b")])
    assert (first.row, second.row, other.row) == (0, 0, 1)
    row = catalog.get("a")
    assert row is not None
    assert row.video.caption == "later"
    assert [row.video.video_id for row in catalog.changes(0)] == ["a", "b"]


@pytest.mark.parametrize(
    ("field", "value"), [("author_id", "bob"), ("duration_s", 9.0), ("sound_id", "other"), ("tags", ("cats",))], ids=lambda value: str(value)
)
def test_a_conflict_names_the_video_and_the_field_and_changes_nothing(catalog: Catalog, field: str, value: object) -> None:
    [before] = catalog.publish([video("a")])
    with pytest.raises(VideoConflict, match=rf"'a' is known with {field} .*publish it under a new video_id"):
        catalog.publish([video("b", tags=("new",), author_id="new"), video("a", **{field: value})])
    assert catalog.changes(0) == [before]
    assert list(catalog.names("author")) == [(0, "ada")]
    assert list(catalog.names("tag")) == []
    assert catalog.publish([video("c")])[0].row == 1


def test_a_removed_video_keeps_its_row_and_can_be_put_back(catalog: Catalog) -> None:
    [before, other] = catalog.publish([video("a"), video("b")])
    catalog.remove(["a", "nobody", "a"])
    removed = catalog.get("a")
    assert removed is not None
    assert removed.removed
    assert removed.row == before.row
    assert catalog.changes(other.revision) == [removed]
    catalog.remove(["a"])
    assert catalog.changes(removed.revision) == []
    [back] = catalog.publish([video("a")])
    assert (back.row, back.removed) == (before.row, False)
    assert catalog.changes(removed.revision) == [back]


def test_changes_come_in_pages_the_oldest_first(catalog: Catalog) -> None:
    catalog.publish([video(str(number)) for number in range(10)])
    catalog.remove(["3"])
    seen: list[str] = []
    after = 0
    while page := catalog.changes(after, at_most=4):
        assert len(page) <= 4
        seen += [row.video.video_id for row in page]
        after = page[-1].revision
    assert seen == ["0", "1", "2", "4", "5", "6", "7", "8", "9", "3"]


def test_thousands_of_videos_at_once(catalog: Catalog) -> None:
    many = [video(f"v{number}", author_id=f"a{number % 1_700}", tags=(f"t{number % 900}",)) for number in range(5_000)]
    assert [row.row for row in catalog.publish(many)] == list(range(5_000))
    catalog.remove([one.video_id for one in many[:1_200]])
    changed = [*catalog.changes(0, 3_000), *catalog.changes(catalog.changes(0, 3_000)[-1].revision, 3_000)]
    assert sorted(row.row for row in changed) == list(range(5_000))
    assert sum(row.removed for row in changed) == 1_200
    assert [row for row, _ in catalog.names("author")] == list(range(1_700))


def test_processes_that_publish_at_once_share_dense_rows(backend: str, place: str, open_catalog: Opener, start: Start) -> None:
    program = """
import sys
from storage.backends import CATALOGS
from reelrank.domain.video import Video
catalog = CATALOGS[sys.argv[1]](sys.argv[2])  # both may be the first to open it
for number in range(25):
    mine = [f"{sys.argv[3]}-{number}", f"shared-{number}"]
    catalog.publish([Video(video_id=one, author_id=one, duration_s=1.0, uploaded_at=1.0, tags=(f"tag {number}",)) for one in mine])
"""
    children = [start(program, backend, place, name) for name in "abc"]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    rows = open_catalog().changes(0)
    assert sorted(row.row for row in rows) == list(range(100))
    assert len({row.video.video_id for row in rows}) == 100
    assert len({row.revision for row in rows}) == 100
    assert sorted(row.author_row for row in rows) == list(range(100))
    assert {row.tag_rows[0] for row in rows} == set(range(25))


def test_a_follower_misses_nothing_while_several_processes_write(backend: str, place: str, open_catalog: Opener, start: Start) -> None:
    catalog = open_catalog()
    program = """
import sys
from storage.backends import CATALOGS
from reelrank.domain.video import Video
catalog = CATALOGS[sys.argv[1]](sys.argv[2])
for number in range(60):
    made = [Video(video_id=f"{sys.argv[3]}-{number}-{part}", author_id="ada", duration_s=1.0, uploaded_at=1.0) for part in range(1 + number % 5)]
    catalog.publish(made)
    catalog.publish([Video(video_id="shared", author_id="ada", duration_s=1.0, uploaded_at=1.0, caption=f"{sys.argv[3]} {number}")])
    if number % 3 == 0:
        catalog.remove([made[0].video_id])
"""
    children = [start(program, backend, place, name) for name in "abcd"]
    followed: dict[int, CatalogRow] = {}
    revisions: list[int] = [0]

    def follow() -> None:
        while page := catalog.changes(revisions[-1], at_most=3):
            followed.update((row.row, row) for row in page)
            revisions.extend(row.revision for row in page)

    while any(child.poll() is None for child in children):
        follow()
    follow()
    assert [child.returncode for child in children] == [0] * 4
    assert revisions == sorted(set(revisions))
    assert sorted(followed) == list(range(len(followed)))
    assert sorted(followed.values(), key=lambda row: row.revision) == catalog.changes(0, at_most=100_000)
    assert len(followed) == 4 * 60 * 3 + 1


def test_a_file_that_is_no_catalogue_is_named(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(StorageError, match=r"catalog\.sqlite can't be used"):
        SqliteCatalog(tmp_path / "catalog.sqlite")

"""Tests of the catalogue in memory."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from features.folded_world import NOW, VIDEOS, World
from reelrank.domain.video import Video
from reelrank.features.columns import MAX_PLACES, MAX_SURFACES, VideoColumns
from reelrank.storage.catalog import CatalogRow
from reelrank.storage.event_log import StorageError


def test_columns_hold_what_the_catalogue_says(world: World) -> None:
    columns = world.columns
    assert columns.count == 5
    assert [columns.videos[row] for row in range(5)] == VIDEOS
    assert dict(columns.rows) == {video.video_id: row for row, video in enumerate(VIDEOS)}
    assert columns.author_row[:5].tolist() == [0, 1, 0, 1, 0]
    assert [columns.author_ids[author] for author in (0, 1)] == [VIDEOS[0].author_id, VIDEOS[1].author_id]
    assert columns.sound_row[:5].tolist() == [0, 0, 0, -1, -1]
    assert columns.place_row[:5].tolist() == [-1, 0, -1, -1, -1]
    assert columns.duration_s[:5].tolist() == [10.0, 11.0, 12.0, 13.0, 14.0]
    assert columns.length_class[:5].tolist() == [6, 6, 7, 7, 7]
    names = dict(world.catalog.names("tag"))
    assert [[names[tag] for tag in tags if tag >= 0] for tags in columns.tag_rows[:5].tolist()] == [list(video.tags) for video in VIDEOS]
    assert not columns.removed[:5].any()


def test_columns_follow_the_catalogue(world: World) -> None:
    columns = world.columns
    assert columns.refresh() == 0
    world.catalog.remove(["v3"])
    world.catalog.publish([Video(video_id="new", author_id="a1", duration_s=1.0, uploaded_at=NOW), msgspec.structs.replace(VIDEOS[0], caption="renewed")])
    assert columns.refresh() == 3
    assert columns.count == 6
    assert columns.removed[:6].tolist() == [False, False, False, True, False, False]
    assert columns.videos[0].caption == "renewed"
    assert columns.row_of("new") == 5
    assert columns.row_of("nobody") is None
    assert columns.rows_of(["new", "v2"]).tolist() == [5, 2]
    world.catalog.publish([VIDEOS[3]])
    columns.refresh()
    assert not columns.removed[3]


def test_columns_are_the_same_whether_followed_or_read_afresh(world: World, tmp_path: Path) -> None:
    for number in range(60):
        world.catalog.publish([Video(video_id=f"n{number}", author_id=f"b{number % 7}", duration_s=1.0, uploaded_at=NOW, tags=(f"t{number % 5}",))])
        if number % 3 == 0:
            world.catalog.remove([f"n{number // 2}"])
            world.columns.refresh()
    world.columns.refresh()
    afresh = VideoColumns(world.catalog, tmp_path / "afresh")
    assert (afresh.count, dict(afresh.rows), dict(afresh.authors)) == (65, dict(world.columns.rows), dict(world.columns.authors))
    for name in ("author_row", "sound_row", "place_row", "tag_rows", "duration_s", "uploaded_at", "removed"):
        assert getattr(afresh, name)[:65].tolist() == getattr(world.columns, name)[:65].tolist()


def test_no_row_counts_before_it_is_filled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last change of a row may be younger than that of a later row, and come in another page."""
    counts: list[int] = []
    changes = world.catalog.changes

    def one_at_a_time(after: int) -> list[CatalogRow]:
        counts.append(world.columns.count)
        return changes(after, 1)

    monkeypatch.setattr(world.catalog, "changes", one_at_a_time)
    world.catalog.publish([Video(video_id=name, author_id="a1", duration_s=1.0, uploaded_at=NOW) for name in ("n1", "n2")])
    world.catalog.remove(["n1"])
    world.columns.refresh()
    assert counts == [5, 5, 5]
    assert (world.columns.count, world.columns.removed[5], world.columns.videos[5].video_id) == (7, True, "n1")


def test_a_place_nobody_lived_in_yet_gets_its_row(world: World, tmp_path: Path) -> None:
    world.columns.name_places(["Rome", "Lima", "Lima"])
    assert world.columns.places["Rome"] == 0
    lima = world.columns.places["Lima"]
    assert world.catalog.name_rows("place", ["Lima"]) == {"Lima": lima}
    assert VideoColumns(world.catalog, tmp_path / "elsewhere").places["Lima"] == lima


def test_places_that_clients_make_up_do_not_fill_the_catalogue(world: World) -> None:
    world.columns.name_places(f"nowhere {number}" for number in range(MAX_PLACES + 10))
    assert len(world.columns.places) == MAX_PLACES
    world.columns.name_places(["one more"])
    assert "one more" not in world.columns.places


def test_where_two_processes_have_named_too_many_places_at_once_no_more_are_named(world: World, tmp_path: Path) -> None:
    elsewhere = VideoColumns(world.catalog, tmp_path / "elsewhere")
    elsewhere.name_places(f"nowhere {number}" for number in range(MAX_PLACES))
    world.columns.name_places(["here", "there"])
    world.columns.refresh()
    known = len(world.columns.places)
    world.columns.name_places(f"somewhere {number}" for number in range(10))
    assert known == len(world.columns.places) > MAX_PLACES


def test_a_surface_keeps_the_number_it_was_given_first(world: World, tmp_path: Path) -> None:
    world.columns.name_surfaces(["search", "friends", "", "friends"])
    assert world.columns.surfaces == {"for_you": 1, "search": 2, "friends": 3}
    world.columns.name_surfaces(["a later one", "search"])
    elsewhere = VideoColumns(world.catalog, tmp_path / "elsewhere")
    assert world.columns.surfaces == elsewhere.surfaces == {"for_you": 1, "search": 2, "friends": 3, "a later one": 4}


def test_columns_learn_of_surfaces_that_another_machine_has_named(world: World, tmp_path: Path) -> None:
    VideoColumns(world.catalog, tmp_path / "elsewhere").name_surfaces(["friends"])
    assert "friends" not in world.columns.surfaces
    world.columns.refresh()
    assert world.columns.surfaces["friends"] == 3


def test_surfaces_beyond_the_last_number_stay_without_one(world: World, tmp_path: Path) -> None:
    other = VideoColumns(world.catalog, tmp_path / "elsewhere")
    world.columns.name_surfaces(f"made up {number}" for number in range(MAX_SURFACES - 3))
    other.name_surfaces(["first", "second", "third"])  # it does not know yet that only one number is left
    assert other.surfaces == {"for_you": 1, "search": 2, "first": MAX_SURFACES}
    world.columns.refresh()
    world.columns.name_surfaces(["one more"])
    assert max(world.columns.surfaces.values()) == len(world.columns.surfaces) == MAX_SURFACES
    assert "one more" not in world.columns.surfaces


def test_a_tag_that_is_given_twice_is_one_tag(world: World) -> None:
    world.catalog.publish([Video(video_id="twice", author_id="a1", duration_s=1.0, uploaded_at=NOW, tags=("x", "y", "x"))])
    world.columns.refresh()
    assert [world.columns.tags[tag] for tag in world.columns.tag_rows[world.columns.rows["twice"]].tolist() if tag >= 0] == ["x", "y"]


_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from reelrank.domain.video import Video
from reelrank.features.columns import VideoColumns
from reelrank.storage.catalog_sqlite import SqliteCatalog

folder, videos = Path(sys.argv[1]), int(sys.argv[2])
catalog = SqliteCatalog(folder / "catalog.sqlite")
columns = VideoColumns(catalog, folder / "columns")
print(columns.count, flush=True)
catalog.publish([Video(video_id=f"theirs {number}", author_id="them", duration_s=1.0, uploaded_at=7.0) for number in range(videos)])
if sys.argv[3:] == ["die"]:  # after the first page of changes, before any of them counts
    import os
    catalog.changes = lambda after, changes=catalog.changes: changes(after, 100)
    columns._shared.write = lambda *page, write=columns._shared.write: (write(*page), os._exit(9))
columns.refresh()
"""


def _another_process(world: World, folder: Path, videos: int, *how: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", _ANOTHER_PROCESS, str(folder), str(videos), *how], capture_output=True, text=True, timeout=60)


def test_processes_of_a_machine_share_what_one_of_them_has_read(world: World, tmp_path: Path) -> None:
    theirs = _another_process(world, tmp_path / "world", 5_000)
    assert (theirs.returncode, theirs.stdout.split()) == (0, ["5"])  # they found ours filled
    assert world.columns.count == 5
    assert world.columns.row_of("theirs 4999") == 5_004  # the one who asks looks, though it did not read the catalogue
    assert world.columns.count == 5_005
    assert world.columns.uploaded_at[5_004] == 7.0  # beyond the room that there was
    assert world.columns.videos[5_004].author_id == "them"
    assert world.columns.refresh() == 0


def test_rows_of_a_process_that_died_while_it_wrote_are_written_again(world: World, tmp_path: Path) -> None:
    assert _another_process(world, tmp_path / "world", 300, "die").returncode == 9
    assert world.columns.row_of("theirs 50") is None  # written, but it does not count yet
    assert world.columns.refresh() == 200
    assert world.columns.count == 305
    assert [world.columns.row_of(f"theirs {number}") for number in range(300)] == list(range(5, 305))
    assert world.columns.uploaded_at[5:305].tolist() == [7.0] * 300


def test_what_a_row_points_to_has_its_name_before_the_row_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = world.columns

    def no_room() -> None:
        raise StorageError("no room on the disk")

    monkeypatch.setattr(columns._shared, "_map", SimpleNamespace(flush=no_room))  # between the arrays and the head
    world.catalog.publish([msgspec.structs.replace(VIDEOS[3], regions=("PT",))])
    with pytest.raises(StorageError):
        columns.refresh()
    assert columns.regions[int(columns.region_key[3])] == (("PT",), ())
    monkeypatch.undo()
    assert (columns.refresh(), columns.videos[3].regions) == (1, ("PT",))


def test_columns_of_another_catalogue_are_refused(world: World, tmp_path: Path) -> None:
    world.close()
    (tmp_path / "world" / "catalog.sqlite").unlink()
    theirs = _another_process(world, tmp_path / "world", 1)
    assert theirs.returncode == 1
    assert "remove that folder" in theirs.stderr


def test_what_nobody_could_have_named_is_not_there(world: World) -> None:
    assert world.columns.row_of("x" * 2_000) is None
    assert world.columns.row_of("") is None
    with pytest.raises(IndexError):
        world.columns.videos[5]

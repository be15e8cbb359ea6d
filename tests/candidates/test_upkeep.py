"""Tests of what one process of a machine keeps current for all, with a second process that is killed."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from candidates.small_app import HOUR, START, SmallApp
from reelrank.candidates import tracked
from reelrank.candidates import upkeep as upkeep_file
from reelrank.candidates.trending import TrendingBoard, TrendingPlaceSource, TrendingTagSource
from reelrank.candidates.upkeep import Upkeep

_MAKER = """
import sys, threading
from pathlib import Path
from candidates.small_app import SmallApp
from reelrank.candidates import upkeep
upkeep._EVERY_S = 0.02
app = SmallApp(Path(sys.argv[1]))
upkeep.Upkeep(app.reader, app.columns, app.clock, Path(sys.argv[2])).follow(threading.Event())
"""


@pytest.fixture(name="maker")
def _maker(two_circles: SmallApp, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that makes what trends in the app of two circles, once people in Oslo like a dog."""
    two_circles.publish("new", age_s=HOUR, tags=("dogs",))
    for person in range(30):
        two_circles.watches(f"person {person}", "dog 4", place="Oslo")
    command = [sys.executable, "-W", "error", "-c", _MAKER, str(tmp_path), str(tmp_path / "made")]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}) as process:
        yield process
        process.kill()


@pytest.fixture(name="upkeep")
def _upkeep(two_circles: SmallApp, tmp_path: Path) -> Iterator[Upkeep]:
    """What a process has that shares `made` with others."""
    upkeep = Upkeep(two_circles.reader, two_circles.columns, two_circles.clock, tmp_path / "made")
    yield upkeep
    upkeep.close()


def soon(is_so: Callable[[], object], within_s: float = 20.0) -> bool:
    """Whether something comes true."""
    deadline = time.monotonic() + within_s
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(is_so())


def as_if_old(folder: Path) -> None:
    """As if the maker had not written for a while."""
    for name in ("trends", "fresh"):
        os.utime(folder / name, (1, 1))


def test_who_reads_goes_on_when_the_maker_is_killed_and_takes_over(two_circles: SmallApp, maker: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    folder, app = tmp_path / "made", two_circles
    assert soon(lambda: all((folder / name).exists() for name in ("trends", "fresh")))
    reader = Upkeep(app.reader, app.columns, app.clock, folder)
    reader.board.refresh()
    assert reader.board._maker is None, "it was read, not made"
    alone = TrendingBoard(app.reader, app.columns, app.clock)
    alone.refresh()

    def told(board: TrendingBoard) -> list[object]:
        sources = TrendingPlaceSource(board), TrendingTagSource(board, app.columns)
        return [board.videos(99), board.tags(9), board.videos(9, "Oslo"), board.tags(9, "Oslo"), *(app.proposed(one, "me", place="Oslo") for one in sources)]

    app.watches("me", "dog 0")
    assert told(reader.board) == told(alone)
    assert app.proposed(reader.fresh, "me")[0] == "new"

    maker.kill()
    maker.wait()
    for person in range(60):
        app.watches(f"late {person}", "cat 3", "new")
    app.clock.advance_to(START + 6)
    reader.board.refresh()
    assert reader.board.everywhere()[0] == app.columns.rows["dog 4"], "what was made a moment ago still holds"
    as_if_old(folder)
    reader.board.refresh()
    reader.fresh.refresh()
    alone.refresh()
    assert reader.board.everywhere()[0] == app.columns.rows["cat 3"]
    assert told(reader.board) == told(alone)
    other = Upkeep(app.reader, app.columns, app.clock, folder)
    other.board.refresh()
    assert told(other.board) == told(alone), "what it makes now the others read"
    reader.close()


def test_the_role_that_is_meant_to_takes_over_from_who_served_alone_and_gives_it_back(
    two_circles: SmallApp, upkeep: Upkeep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep_file, "_EVERY_S", 0.02)
    upkeep.board.refresh()
    assert upkeep.board._maker is not None
    role = Upkeep(two_circles.reader, two_circles.columns, two_circles.clock, tmp_path / "made")
    ended = threading.Event()
    thread = threading.Thread(target=role.follow, args=(ended,))
    thread.start()

    def read_only() -> bool:
        upkeep.board.refresh()
        return upkeep.board._maker is None and role.board._maker is not None

    try:
        assert soon(read_only)
    finally:
        ended.set()
        thread.join()
        role.close()
    as_if_old(tmp_path / "made")
    upkeep.board.refresh()
    assert upkeep.board._maker is not None


def test_a_video_of_this_moment_is_proposed_at_once_where_the_pool_is_read(two_circles: SmallApp, upkeep: Upkeep, tmp_path: Path) -> None:
    reader = Upkeep(two_circles.reader, two_circles.columns, two_circles.clock, tmp_path / "made")
    two_circles.publish("now", age_s=0)
    assert two_circles.proposed(reader.fresh, "me")[0] == "now"
    two_circles.watches("somebody", "now")
    upkeep.fresh.refresh()
    reader.fresh.refresh()
    assert reader.fresh._pool.impressions[0] == 1.0
    np.testing.assert_array_equal(reader.fresh._pool.counted, upkeep.fresh._pool.counted)


def test_a_board_that_starts_again_shows_what_there_was_and_looks_first_at_what_was_strong(
    two_circles: SmallApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for person in range(30):
        two_circles.watches(f"person {person}", "dog 4")
    strong = two_circles.columns.rows["dog 4"]
    monkeypatch.setattr(tracked, "_AT_A_TIME", 1)
    monkeypatch.setattr(tracked, "_FIRST", 1)

    def started(folder: str) -> Upkeep:
        upkeep = Upkeep(two_circles.reader, two_circles.columns, two_circles.clock, tmp_path / folder)
        upkeep.board.refresh()
        return upkeep

    before = started("made")
    assert strong not in before.board.everywhere()  # as it is not among the first that are read
    for _ in range(40):
        before.board.refresh()
    two_circles.clock.advance_to(START + 70)  # now and then it is looked for
    before.board.refresh()
    before.close()
    assert started("made").board.everywhere()[0] == strong
    as_if_old(tmp_path / "made")
    again = started("made")
    assert again.board._maker is not None
    assert again.board.everywhere()[0] == strong
    again.close()
    (tmp_path / "made" / "trends").write_bytes(b"damaged")
    late = started("made")
    assert strong not in late.board.everywhere()
    late.close()


def test_without_a_folder_to_share_nothing_is_written(two_circles: SmallApp, tmp_path: Path) -> None:
    alone = Upkeep(two_circles.reader, two_circles.columns, two_circles.clock, None)
    alone.board.refresh()
    assert len(alone.board.everywhere())
    assert not (tmp_path / "made").exists()
    alone.close()

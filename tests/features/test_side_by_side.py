"""Jobs side by side end together."""

import threading

import pytest

from reelrank.features.side_by_side import SideBySide


def test_jobs_work_while_the_block_does_and_have_ended_after_it() -> None:
    began, done = threading.Barrier(3), list[str]()

    def job(ended: threading.Event) -> None:
        began.wait(5)
        ended.wait()
        done.append(threading.current_thread().name)

    with SideBySide({"one": job, "other": job}) as jobs:
        began.wait(5)
        assert done == []
    assert jobs.ended.is_set()
    assert sorted(done) == ["one", "other"]


def test_what_breaks_one_ends_all_and_is_raised_after_the_block() -> None:
    def breaks(ended: threading.Event) -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"), SideBySide({"broken": breaks, "patient": threading.Event.wait}) as jobs:
        assert jobs.ended.wait(5)


def test_a_problem_of_the_block_itself_comes_first() -> None:
    def breaks(ended: threading.Event) -> None:
        raise OSError("no space left on device")

    with pytest.raises(KeyError, match="mine"), SideBySide({"broken": breaks}) as jobs:
        jobs.wait()
        raise KeyError("mine")


def test_jobs_that_end_by_themselves_can_be_waited_for() -> None:
    done: list[int] = []
    with SideBySide({str(number): lambda _, number=number: done.append(number) for number in range(3)}) as jobs:
        jobs.wait()
        assert sorted(done) == [0, 1, 2]
        assert not jobs.ended.is_set()

"""Run folders: where a training is kept while it is under way, so that the next one goes on where a kill has ended it."""

import fcntl
import logging
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec

from reelrank.training.examples import TrainingSet
from reelrank.training.publish import About

logger = logging.getLogger(__name__)

_UNDER_WAY, _DRAFT, _EXAMPLES = "under-way.json", "under-way.draft", "examples"
_STALE_S = 86_400.0  # what was interrupted longer ago is begun anew, with what has happened since
_KEPT_RUNS = 3


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is of: another one goes on with it only if it is of the same."""

    seed: int
    settings: str  # as JSON
    given: int = 0  # examples that were handed in; 0: they are from the lake, and kept with the run


class _UnderWay(msgspec.Struct, frozen=True, kw_only=True):
    plan: RunPlan
    began_at: float  # UTC seconds
    about: dict[str, str | int | float]


class RunFolder:
    """A run and what it learns from. It ends with the `with` block, unless the process is killed or interrupted in it."""

    def __init__(self, folder: Path, training_set: TrainingSet, about: About, lock: BinaryIO) -> None:
        self.folder = folder
        self.training_set = training_set
        self.about = about
        self._lock = lock

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None or issubclass(kind, Exception):
            _end(self.folder)
        self._lock.close()


def begin(home: Path, plan: RunPlan, now: float, training_set: TrainingSet, about: About) -> RunFolder:
    """A new run below `home` at the moment `now` (UTC seconds); of those before, the last few stay."""
    home.mkdir(parents=True, exist_ok=True)
    for old in sorted(home.iterdir())[: 1 - _KEPT_RUNS]:
        if (lock := _locked(old)) is not None or not (old / _UNDER_WAY).exists():  # else somebody is at it
            shutil.rmtree(old, ignore_errors=True)
            if lock is not None:
                lock.close()
    folder = Path(tempfile.mkdtemp(prefix=f"{now:015.3f}-", dir=home))
    if not plan.given:
        training_set.save(folder / _EXAMPLES)
        training_set = TrainingSet.load(folder / _EXAMPLES)  # as whoever goes on with it will read it
    (folder / _DRAFT).write_bytes(msgspec.json.encode(_UnderWay(plan=plan, began_at=now, about=dict(about))))
    lock = _lock(folder / _DRAFT)
    assert lock is not None, "nobody else knows of this file"
    os.replace(folder / _DRAFT, folder / _UNDER_WAY)
    return RunFolder(folder, training_set, about, lock)


def interrupted(home: Path, plan: RunPlan, now: float, given: TrainingSet | None = None) -> RunFolder | None:
    """The newest run of this plan that was interrupted lately and that nobody goes on with; with `given` examples, from those."""
    for folder in sorted(home.iterdir(), reverse=True) if home.exists() else []:
        lock = _locked(folder)
        if lock is None:
            continue
        try:
            found = msgspec.json.decode(lock.read(), type=_UnderWay)
            if found.plan == plan and 0 <= now - found.began_at < _STALE_S:
                return RunFolder(folder, TrainingSet.load(folder / _EXAMPLES) if given is None else given, found.about, lock)
        except (OSError, ValueError) as problem:  # damaged, or of another release
            logger.warning("the interrupted run in %s is begun anew: %s", folder, problem)
            _end(folder)
        lock.close()
    return None


def _end(folder: Path) -> None:
    """Nobody goes on with a run that has ended, and what it learned from is not needed any more."""
    (folder / _UNDER_WAY).unlink(missing_ok=True)
    shutil.rmtree(folder / _EXAMPLES, ignore_errors=True)


def _locked(folder: Path) -> BinaryIO | None:
    return _lock(folder / _UNDER_WAY)


def _lock(path: Path) -> BinaryIO | None:
    """Holds a file, which the kernel lets go of when this process ends, however it does; None if it is not there or somebody holds it."""
    try:
        file = path.open("rb")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file

"""Checkpoints: folders that are there as a whole or not at all, however the process that writes them ends."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

_KEEP = 2


class Checkpoints:
    """Numbered folders below `root`; the newest one counts, the one before stays beside it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def latest(self) -> Path | None:
        """The newest whole one."""
        folders = self._folders()
        return folders[-1] if folders else None

    def write(self, fill: Callable[[Path], None]) -> Path:
        """Lets `fill` write into an empty folder, which counts from the moment that all of it is on the disk."""
        self._root.mkdir(parents=True, exist_ok=True)
        for left_over in self._root.glob(".draft-*"):
            shutil.rmtree(left_over)
        before = self._folders()
        number = int(before[-1].name) + 1 if before else 1
        draft = self._root / f".draft-{number}"
        draft.mkdir()
        fill(draft)
        for path in [*draft.rglob("*"), draft]:
            _sync(path)
        folder = draft.rename(self._root / f"{number:010d}")
        _sync(self._root)
        for old in before[: len(before) + 1 - _KEEP]:
            shutil.rmtree(old)
        return folder

    def forget(self) -> None:
        """Removes all of them."""
        shutil.rmtree(self._root, ignore_errors=True)

    def forget_latest(self) -> None:
        """Removes the newest one, if there is any: the one before counts from now on."""
        latest = self.latest()
        if latest is not None:
            shutil.rmtree(latest) if latest.is_dir() else latest.unlink()

    def _folders(self) -> list[Path]:
        return sorted(path for path in self._root.iterdir() if path.name.isdecimal()) if self._root.exists() else []


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""A small disk in memory that can be filled up and be given room again."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_ONCE = 1 << 20


class NoSmallDisk(Exception):
    """A disk can't be mounted here; the message says why."""


class SmallDisk:
    """What lies in `folder` shares a few megabytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Takes all the room there is, to the last byte."""
        piece = bytes(_AT_ONCE)
        with self._ballast.open("ab", buffering=0) as ballast:
            while len(piece):
                try:
                    ballast.write(piece)
                except OSError:
                    piece = piece[: len(piece) // 2]

    def free(self) -> None:
        """Gives it back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mounts one at `folder`, until the end of the block. Raises NoSmallDisk."""
    if not sys.platform.startswith("linux"):
        raise NoSmallDisk("a small disk is mounted as tmpfs, which only Linux has")
    folder.mkdir(parents=True)
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NoSmallDisk("a small disk can't be mounted: there is no program mount") from None
    if mounted.returncode != 0:
        raise NoSmallDisk(f"a small disk can't be mounted: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)

"""What can happen to a file between its writer and its reader."""

import pickle
from pathlib import Path


class Trap:
    """Whoever unpickles it notices."""

    def __reduce__(self) -> tuple[type[SystemExit], tuple[str]]:
        return SystemExit, ("a pickle was run",)


def cut(path: Path) -> None:
    """Half of it is gone."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    """All of it is gone."""
    path.write_bytes(b"")


def pickled(path: Path) -> None:
    """Something else is there, which must never be run."""
    path.write_bytes(pickle.dumps(Trap()))


def flipped(path: Path) -> None:
    """Some bytes in it are others."""
    found = bytearray(path.read_bytes())
    for place in range(len(found) // 3, len(found) // 3 + 64):
        found[place] ^= 0xFF
    path.write_bytes(found)

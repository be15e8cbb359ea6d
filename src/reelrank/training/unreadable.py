"""Unreadable: what was written once and can't be read any more, whatever its reader says of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

_LONGEST = 300  # letters of what a reader says: torch goes on for a page


class Unreadable(Exception):
    """A file, or all of a folder, is damaged or missing; the message names it and says why."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever breaks in the `with` block is raised as Unreadable, about `path` if it is not about a part of it yet.

    Readers of damaged files raise nearly anything: OSError, EOFError, KeyError, BadZipFile, UnpicklingError, …
    """
    try:
        yield
    except Unreadable:
        raise
    except Exception as problem:
        said = " ".join(str(problem).split())[:_LONGEST]
        raise Unreadable(f"{path} can't be read: {type(problem).__name__}{said and f': {said}'}") from problem


def load_tensors(path: Path) -> Any:
    """What `torch.save` wrote there: tensors in plain containers, nothing of it is ever run. Raises Unreadable, also if bits of it have flipped."""
    import torch  # who publishes or rolls back needs none of it

    with reading(path):
        with ZipFile(path) as parts:
            if damaged := parts.testzip():  # torch does not look at checksums
                raise ValueError(f"the checksum of {damaged} differs")
        return torch.load(path, weights_only=True)

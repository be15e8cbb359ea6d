"""A record of named arrays as one file: plain numbers, nothing in it is ever run."""

from dataclasses import Field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np


class ArrayRecord:
    """What a dataclass extends whose fields are all arrays, so that it can rest in a file."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def save(self, path: Path) -> None:
        """Writes the arrays under the names of their fields. Raises ValueError for an array of objects, which only pickle could write."""
        with path.open("wb") as file:  # handed a path, savez would add an ending of its own
            np.savez(file, allow_pickle=False, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote. Raises OSError, KeyError or ValueError where a file lacks an array, or is none of these."""
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # handed a path, load would leave a damaged file open
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})

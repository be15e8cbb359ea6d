"""Shifts: what was learned online to be added to the logits, of everyone's candidates and of each user's.

A user's shift is the same for all candidates, so it changes no order within a slate. It makes chances true: who has
begun to skip everything is believed within seconds, and the value of showing one more video, the thresholds, and
whatever compares chances across users or moments hang on that.
"""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reelrank.domain.arrays import Floats
from reelrank.features.row_index import NO_KEY, Keys

HEAD = "head"  # row 1 is everyone's
USER = "user"


class Shifts(NamedTuple):
    """All of them as arrays."""

    everyone: Floats  # (2, heads) in row 1
    keys: Keys  # (rows,) whose each row of `users` is, NO_KEY for nobody's
    users: Floats  # (rows, heads) row 0, of those without a row, is zero

    @classmethod
    def none(cls, heads: int) -> "Shifts":
        """Before anything was learned online."""
        return cls(np.zeros((2, heads), dtype=np.float32), np.full(1, NO_KEY), np.zeros((1, heads), dtype=np.float32))

    @classmethod
    def load(cls, folder: Path) -> "Shifts":
        """Reads what `save` wrote, memory-mapped: a page is copied when something in it changes."""
        everyone, keys, users = folder / f"rows-{HEAD}.npy", folder / f"keys-{USER}.npy", folder / f"rows-{USER}.npy"
        if not keys.exists() and not users.exists():  # an artifact from before users had rows
            shift = mapped(everyone)
            return cls.none(shift.shape[1])._replace(everyone=shift)
        return cls(mapped(everyone), mapped(keys), mapped(users))

    def save(self, folder: Path) -> None:
        """Writes them as .npy files into the folder of an artifact."""
        np.save(folder / f"rows-{HEAD}.npy", self.everyone)
        np.save(folder / f"keys-{USER}.npy", self.keys)
        np.save(folder / f"rows-{USER}.npy", self.users)


def user_keys(user_ids: Sequence[str]) -> Keys:
    """64 bits of each user id's BLAKE2b (n,): users have no dense rows, and that any two of a million share a key has a chance of 3e-8."""
    digests = b"".join(blake2b(user_id.encode(), digest_size=8).digest() for user_id in user_ids)
    keys = np.frombuffer(digests, dtype="<i8").astype(np.int64)
    return np.where(keys == NO_KEY, 0, keys)


def mapped(path: Path) -> np.ndarray:
    """The array of a .npy file, of which a page is copied when something in it changes. Raises OSError, or ValueError, which names the file."""
    try:
        return np.load(path, mmap_mode="c", allow_pickle=False).view(np.ndarray)
    except (ValueError, EOFError) as problem:
        raise ValueError(f"{path} holds no array, or not all of it: {problem}") from problem

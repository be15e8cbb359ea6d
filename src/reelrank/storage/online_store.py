"""OnlineStore: folded state, read in one call and written together with the offset it stands for."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import IntEnum
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]  # dense rows; for PLACE_VIDEO place row << 32 | video row
Counters = NDArray[np.int32]  # (n, width): one record of counters per key, zeros where nothing is known


class Kind(IntEnum):
    """Whose counters. The numbers are part of the stored format."""

    VIDEO = 1
    AUTHOR = 2
    TAG = 3
    SOUND = 4
    PLACE_VIDEO = 5
    EVERYTHING = 6  # key 0: the whole app, the prior of all rates


class Snapshot(NamedTuple):
    """What one read saw: all of it from the same moment."""

    users: list[bytes | None]  # the users' records, None where nothing was folded
    counters: dict[Kind, Counters]
    offsets: tuple[int, ...]  # per partition, the offset up to which (exclusive) the log is folded in


class Fold(Protocol):
    """One transaction of one partition: read state, change it, and move the offset, all or nothing."""

    offset: int  # the first offset that is not folded yet

    def users(self, user_ids: Sequence[str]) -> list[bytes | None]: ...

    def put_users(self, records: Mapping[str, bytes]) -> None: ...

    def counters(self, kind: Kind, keys: Keys) -> Counters: ...

    def put_counters(self, kind: Kind, keys: Keys, values: Counters) -> None: ...

    def first_time(self, offset: int, fingerprints: Sequence[bytes]) -> list[bool]:
        """Notes the fingerprints of the records from `offset` on and says which are new.

        A repeat is recognised while the original lies at most `repeat_window` records back in the partition
        (and for at most twice that).
        """
        ...

    def commit(self, offset: int) -> None:
        """Makes every change and the new offset visible at once. Without it, leaving the transaction changes nothing."""
        ...


class OnlineStore(Protocol):
    """Keeps one record per user and counters per video, author, tag, sound and (place, video)."""

    def read(self, user_ids: Sequence[str], keys: Mapping[Kind, Keys]) -> Snapshot:
        """Some users (mostly one) and many counters in one call."""
        ...

    def fold(self, partition: int) -> AbstractContextManager[Fold]:
        """Opens the transaction of a partition."""
        ...

    def scan_users(self) -> Iterator[tuple[str, bytes]]:
        """Every user with their record, in order of id."""
        ...

    def scan_counters(self, kind: Kind, low: int = 0, high: int = 2**63 - 1) -> tuple[Keys, Counters]:
        """Every key in [low, high) that has counters, ascending, with them."""
        ...

    def offsets(self) -> tuple[int, ...]:
        """Per partition, the offset up to which (exclusive) the log is folded in."""
        ...

    def close(self) -> None: ...

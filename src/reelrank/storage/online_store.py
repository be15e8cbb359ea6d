"""OnlineStore: users' folded state, read in one round trip and written together with the offset it stands for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from reelrank.storage.event_log import StorageError

FINGERPRINT_BYTES = 8


class Snapshot(NamedTuple):
    """What one read saw; each user together with the offset of the same moment."""

    users: list[bytes | None]  # the users' records, None where nothing was folded
    offsets: list[int]  # how far (exclusive) the partition of each user is folded


class FoldConflict(StorageError):
    """Somebody else has folded these records in the meantime; nothing was written."""


class OnlineStore(Protocol):
    """Keeps one record per user, and per partition of the log how far it is folded and what was folded lately."""

    partitions: int

    def read(self, user_ids: Sequence[str]) -> Snapshot:
        """Some users, mostly one. A user and the offset belong together even while somebody folds."""
        ...

    def commit(self, partition: int, folded_from: int, folded_to: int, users: Mapping[str, bytes], fingerprints: bytes) -> None:
        """Writes the users' records and moves the partition's offset, all or nothing.

        `users` all belong to `partition`. `fingerprints` holds FINGERPRINT_BYTES for every offset in
        [folded_from, folded_to), for `recent`. Raises FoldConflict when the partition does not stand at
        `folded_from` any more, StorageError when nothing could be written.
        """
        ...

    def recent(self, partition: int) -> tuple[int, int, bytes]:
        """(first, folded_to, fingerprints) of the offsets [first, folded_to): at least the last `repeat_window` of them, or all there were."""
        ...

    def scan_users(self) -> Iterator[tuple[str, bytes]]:
        """Every user with their record, in no particular order."""
        ...

    def offsets(self) -> tuple[int, ...]:
        """Per partition, the offset up to which (exclusive) the log is folded in."""
        ...

    def close(self) -> None: ...

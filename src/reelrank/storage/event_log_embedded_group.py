"""Readers of one machine share the partitions of a topic: who lives and who reads what are locks on files."""

import fcntl
import os
import time
import uuid
from pathlib import Path

_EVERY_S = 0.1  # between two looks at who else is there


class FileMembership:
    """A member of the group whose files lie in `folder`.

    Every member locks a file of its own for as long as it lives, so each can see who is there and what its own fair
    share is: it lets go of what exceeds it and takes what is free. The kernel lets go for a process that dies.
    """

    def __init__(self, folder: Path, partitions: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._count = partitions
        self._held: dict[int, int] = {}  # partition -> locked file
        self._looked_at = -_EVERY_S
        # Names sort by age: who joins later does not move what others hold.
        self._name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.member"
        joining = folder / f"{self._name}.joining"
        lock = _locked(joining)
        assert lock is not None
        self._alive: int | None = lock
        joining.rename(folder / self._name)  # nobody ever sees it unlocked, as if its member were dead

    def partitions(self) -> frozenset[int]:
        if self._alive is not None and (now := time.monotonic()) - self._looked_at >= _EVERY_S:
            self._looked_at = now
            self._divide()
        return frozenset(self._held)

    def close(self) -> None:
        if self._alive is None:
            return
        for partition in list(self._held):
            self._let_go(partition)
        (self._folder / self._name).unlink(missing_ok=True)
        os.close(self._alive)
        self._alive = None

    def _divide(self) -> None:
        members = self._members()
        share, over = divmod(self._count, len(members))
        share += members.index(self._name) < over
        for partition in sorted(self._held)[share:]:
            self._let_go(partition)
        for partition in range(self._count):
            if len(self._held) >= share:
                break
            if partition not in self._held and (lock := _locked(self._folder / f"{partition}.partition")) is not None:
                self._held[partition] = lock

    def _members(self) -> list[str]:
        """Who lives, the oldest first; what the dead have left behind is removed."""
        members = [self._name]
        for path in self._folder.glob("*.member"):
            if path.name == self._name:
                continue
            try:
                handle = os.open(path, os.O_RDWR)
            except FileNotFoundError:  # it has just left
                continue
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look at once don't take each other for the member
            except BlockingIOError:
                members.append(path.name)
            else:
                path.unlink(missing_ok=True)
            finally:
                os.close(handle)
        return sorted(members)

    def _let_go(self, partition: int) -> None:
        os.close(self._held.pop(partition))


def _locked(path: Path) -> int | None:
    """The file, locked until it is closed or the process dies; None if somebody else has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle

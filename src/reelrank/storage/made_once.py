"""Made once: arrays that one process of a machine works out and writes to a file, and all others map."""

import fcntl
import json
import logging
import mmap
import os
import threading
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelrank.storage.event_log import StorageError

logger = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]

_MAGIC = b"reelrank"
_HEAD_BYTES = 16  # the magic, a checksum of all that follows, and how long the description of the arrays is
_ALIGNED = 64
_MAKES, _MEANT = "maker.claim", "meant.claim"


class Maker:
    """Whether this process makes what all processes of the machine use: one that is meant to, or while there is none whoever asks first.

    Claims are locks that the kernel releases when their holder dies, however it does.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meant = False  # one of a role that is there for it: others leave it to this one when they ask again
        self._handles: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def makes(self) -> bool:
        """Whether it was up to this process when it asked last."""
        return _MAKES in self._handles

    def mine(self) -> bool:
        """Whether it is up to this process now; to be asked each time. Raises StorageError where the folder can't be written to."""
        with self._lock:
            if self.meant:
                return self._hold(_MEANT) and self._hold(_MAKES)
            if self._hold(_MEANT, fcntl.LOCK_SH):  # for a moment: nobody is meant to
                self._let_go(_MEANT)
                return self._hold(_MAKES)
            self._let_go(_MAKES)
            return False

    def close(self) -> None:
        """Lets go, so that another process may."""
        with self._lock:
            for claim in (_MAKES, _MEANT):
                self._let_go(claim)

    def _hold(self, claim: str, how: int = fcntl.LOCK_EX) -> bool:
        if claim in self._handles:
            return True
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / claim, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as problem:
            raise StorageError(f"can't claim {self.folder / claim}: {problem}") from problem
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._handles[claim] = handle
        return True

    def _let_go(self, claim: str) -> None:
        if claim in self._handles:
            os.close(self._handles.pop(claim))


class MadeOnce:
    """Named arrays in one file that is replaced whole. One that is damaged, half there or of another form is refused: its maker makes it anew."""

    def __init__(self, maker: Maker, name: str, form: int) -> None:
        self._maker = maker
        self._path = maker.folder / name
        self._form = form
        self._known: tuple[int, int, int] | None = None  # which file was read or written last
        self._head: bytes | None = None  # that of this one, if it was whole
        self._refused = False  # this one

    def mine(self, holds_s: float) -> bool:
        """Whether this process is to make it now. Who did not until now leaves alone what was made within the last `holds_s`."""
        young = not self._refused and abs(time.time() - self._made_at()) < holds_s
        return self._maker.mine() if self._maker.makes or self._maker.meant or not young else False

    def write(self, arrays: Arrays) -> None:
        """Puts `arrays` in the place of what was there. Raises StorageError when the disk has no room for them."""
        about = {"form": self._form, "arrays": [(name, array.dtype.str, array.shape) for name, array in arrays.items()]}
        described = json.dumps(about).encode()
        described += b" " * (-(_HEAD_BYTES + len(described)) % _ALIGNED)
        pieces: list[Any] = [described]
        for array in arrays.values():
            raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            pieces += [raw, bytes(-len(raw) % _ALIGNED)]
        checksum = 0
        for piece in pieces:
            checksum = zlib.crc32(piece, checksum)
        head = _MAGIC + checksum.to_bytes(4, "big") + len(described).to_bytes(4, "big")
        try:
            if head == self._head and self._identity() == self._known:
                os.utime(self._path)  # the same again: nothing to write, and nothing to read
                self._known = self._identity()
                return
            new = self._path.with_name(f"{self._path.name}.new")  # whoever maps the old file keeps it
            with new.open("wb") as file:
                file.writelines([head, *pieces])
            new.replace(self._path)
            self._known, self._head, self._refused = self._identity(), head, False
        except OSError as problem:
            raise StorageError(f"{self._path} can't be written: {problem}; is the disk full?") from problem

    def news(self) -> dict[str, NDArray[Any]] | None:
        """What others have written since this was asked last, mapped, not to be written to; None if that is nothing, or can't be relied on."""
        known = self._identity()
        if known is None or known == self._known:
            return None
        self._known = known
        try:
            with self._path.open("rb") as file:
                head = file.read(_HEAD_BYTES)
                if head == self._head:
                    return None
                self._head, self._refused = head, False
                return _read(file.fileno(), self._form)
        except (OSError, ValueError, KeyError, TypeError) as problem:
            self._refused, self._head = True, None
            logger.warning("%s can't be read and is made anew: %s", self._path, problem)
            return None

    def _identity(self) -> tuple[int, int, int] | None:
        """Which file is there; None if none is."""
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _made_at(self) -> float:
        try:
            return self._path.stat().st_mtime
        except OSError:
            return -np.inf


def _read(handle: int, form: int) -> dict[str, NDArray[Any]]:
    """The arrays of a file, on its pages. Raises ValueError, KeyError or TypeError where it is not what `write` wrote."""
    mapped = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
    if mapped[: len(_MAGIC)] != _MAGIC or zlib.crc32(memoryview(mapped)[_HEAD_BYTES:]) != int.from_bytes(mapped[8:12], "big"):
        raise ValueError("it is damaged")
    start = _HEAD_BYTES + int.from_bytes(mapped[12:_HEAD_BYTES], "big")
    about = json.loads(mapped[_HEAD_BYTES:start])
    if about["form"] != form:
        raise ValueError(f"it has form {about['form']}, and this release writes {form}")
    arrays: dict[str, NDArray[Any]] = {}
    for name, dtype, shape in about["arrays"]:
        array = arrays[name] = np.ndarray(shape, dtype=dtype, buffer=mapped, offset=start)
        start += array.nbytes + -array.nbytes % _ALIGNED
    return arrays

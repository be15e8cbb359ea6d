"""SharedColumns: arrays by dense row, and the names of rows, that all processes of a machine share through memory-mapped files."""

import fcntl
import mmap
import os
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
import numpy as np
from numpy.typing import NDArray

from reelrank.storage.event_log import StorageError

_HEAD, _FORMAT = b"\0head", b"\0format"
_FIRST_ROOM = 4_096  # rows; it doubles
_LONGEST_NAME = 511  # bytes; LMDB refuses to look for more
_PAGE = mmap.ALLOCATIONGRANULARITY


class Field(NamedTuple):
    """One array: the type of its numbers, and how many of them a row has."""

    name: str
    dtype: str
    width: int = 1


class Head(NamedTuple):
    """How far the columns are filled."""

    revision: int = 0  # of what they follow
    filled: int = 0  # rows below this one count
    highest: int = -1  # row that was written
    room: int = 0  # rows that there is space for on disk


class SharedColumns:
    """One file for all arrays, in which each has address space for `most` rows and takes disk as rows come, and one LMDB file of names.

    Processes write in turns, inside `writing`; everybody reads, without a lock. What is written is seen piece by piece: first
    its names, then its arrays, so that whatever a row points to has its name already. The head comes last, and what a crash or a
    power cut interrupts is written again by whoever is next.
    """

    def __init__(self, folder: Path, fields: Sequence[Field], form: int, most: int = 1 << 26, max_bytes: int = 1 << 36) -> None:
        """`form` is a number for what is put under names: another one for whoever would look for names that were not put before.

        Raises StorageError where the folder can't be opened, or was made with other fields or another form.
        """
        self.head = Head()
        self._form = form
        self._folder = folder
        self._fields = fields
        self._most = most
        self._lock = threading.RLock()  # of this process; the file's is of the machine
        self._starts, length = _layout(fields, most)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(folder / "arrays", os.O_RDWR | os.O_CREAT, 0o644)
            if os.fstat(self._handle).st_size < length:
                os.ftruncate(self._handle, length)
            self._map = mmap.mmap(self._handle, length)
            self._env = lmdb.open(str(folder / "names"), map_size=max_bytes, max_readers=1024, readahead=False)
        except (OSError, lmdb.Error) as problem:
            raise StorageError(f"can't open the columns at {folder}: {problem}") from problem
        self.views = self._views(self.head.room)  # (room, …) by name
        self._env.reader_check()
        self._check_format()
        self.look()

    def look(self) -> None:
        """Picks up what other processes have written."""
        with self._lock:
            stored = self.get(_HEAD)
            head = Head() if stored is None else Head(*np.frombuffer(stored, dtype="<i8").tolist())
            if head.room != self.head.room:
                self.views = self._views(head.room)
            self.head = head  # last: whoever reads the count finds the arrays that long

    @contextmanager
    def writing(self) -> Generator[None]:
        """The turn of this process; inside, `head` is the newest."""
        with self._lock:
            handle = os.open(self._folder / "writer.lock", os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)  # the kernel lets go when the process dies
                self.look()
                yield
            finally:
                os.close(handle)

    def write(self, rows: NDArray[np.int64], values: Mapping[str, NDArray[Any]], names: Iterable[tuple[bytes, bytes]], revision: int) -> None:
        """Fills `rows` (n,) of every array, and puts names; they don't count before `fill`. Raises StorageError when there is no room on the disk."""
        highest = max(self.head.highest, int(rows.max(initial=-1)))
        self._make_room(highest + 1)
        self._commit(self.head, names)
        for name, column in values.items():
            self.views[name][rows] = column
        self._map.flush()
        self._commit(self.head._replace(revision=revision, highest=highest), ())

    def fill(self) -> None:
        """Every row up to the highest one counts from here on."""
        if self.head.filled <= self.head.highest:
            self._commit(self.head._replace(filled=self.head.highest + 1), ())

    def get(self, name: bytes) -> bytes | None:
        """What was put under a name."""
        if len(name) > _LONGEST_NAME:
            return None
        with self._env.begin() as transaction:
            return transaction.get(name)

    def under(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All names that begin with `prefix`, without it, and what was put under them, ascending."""
        with self._env.begin() as transaction:
            cursor = transaction.cursor()
            if cursor.set_range(prefix):
                for name, value in cursor.iternext():
                    if not name.startswith(prefix):
                        return
                    yield name[len(prefix) :], value

    def close(self) -> None:
        """Lets go of the files; the arrays stay readable for whoever still holds one."""
        self._env.close()
        os.close(self._handle)

    def _views(self, room: int) -> dict[str, NDArray[Any]]:
        views: dict[str, NDArray[Any]] = {}
        for (name, dtype, width), start in zip(self._fields, self._starts, strict=True):
            views[name] = np.ndarray((room,) if width == 1 else (room, width), dtype=dtype, buffer=self._map, offset=start)
        return views

    def _make_room(self, rows: int) -> None:
        """Takes disk for at least so many rows: a page that has none would end the process that writes to it."""
        room = max(_FIRST_ROOM, self.head.room)
        if rows <= self.head.room:
            return
        while room < rows:
            room *= 2
        if room > self._most:
            raise StorageError(f"the columns at {self._folder} have address space for {self._most:,} rows, and {rows:,} are needed")
        try:
            for field, start in zip(self._fields, self._starts, strict=True):
                os.posix_fallocate(self._handle, start, room * _row_bytes(field))
        except OSError as problem:
            raise StorageError(f"the columns at {self._folder} can't grow to {room:,} rows: {problem.strerror}; is the disk full?") from problem
        self._commit(self.head._replace(room=room), ())

    def _commit(self, head: Head, names: Iterable[tuple[bytes, bytes]]) -> None:
        try:
            with self._env.begin(write=True) as transaction:
                transaction.cursor().putmulti(list(names))
                transaction.put(_HEAD, np.array(head, dtype="<i8").tobytes())
        except lmdb.Error as problem:
            raise StorageError(f"the columns at {self._folder} can't be written: {problem}; is the disk full?") from problem
        self.look()

    def _check_format(self) -> None:
        told = (*self._fields, Field("most", str(self._most)), Field("names", str(self._form)))
        mine = " ".join(f"{name}:{dtype}x{width}" for name, dtype, width in told).encode()
        with self._env.begin(write=True) as transaction:
            stored = transaction.get(_FORMAT)
            if stored is None:
                transaction.put(_FORMAT, mine)
            elif stored != mine:
                raise StorageError(f"the columns at {self._folder} are of another release: remove that folder, they are made again from the catalogue")


def _layout(fields: Sequence[Field], most: int) -> tuple[list[int], int]:
    """Where each array begins, on pages of its own, and where the last one ends."""
    starts: list[int] = []
    end = 0
    for field in fields:
        starts.append(end)
        end += -(-_row_bytes(field) * most // _PAGE) * _PAGE
    return starts, end


def _row_bytes(field: Field) -> int:
    return np.dtype(field.dtype).itemsize * field.width

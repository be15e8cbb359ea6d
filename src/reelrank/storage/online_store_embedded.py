"""The online store in one memory-mapped LMDB file: one committing process at a time, any number of readers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import lmdb

from reelrank.storage.event_log import StorageError, partition_of
from reelrank.storage.online_store import FINGERPRINT_BYTES, FoldConflict, Snapshot


class EmbeddedOnlineStore:
    """temporary"""

    def __init__(self, path: Path, partitions: int, repeat_window: int = 1_000_000, max_bytes: int = 1 << 38, durable: bool = True) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.partitions = partitions
        self.repeat_window = repeat_window
        self._env = lmdb.open(str(path), map_size=max_bytes, max_readers=1024, metasync=False, sync=durable, readahead=False)

    def read(self, user_ids: Sequence[str]) -> Snapshot:
        with self._env.begin() as t:
            return Snapshot([t.get(b"u" + u.encode()) for u in user_ids], [self._offset(t, partition_of(u, self.partitions)) for u in user_ids])

    def _offset(self, t, p):
        return int.from_bytes(t.get(b"o" + p.to_bytes(2, "big")) or b"", "big")

    def commit(self, partition: int, folded_from: int, folded_to: int, users: Mapping[str, bytes], fingerprints: bytes) -> None:
        try:
            with self._env.begin(write=True) as t:
                if self._offset(t, partition) != folded_from:
                    raise FoldConflict("conflict")
                c = t.cursor()
                for u in sorted(users):
                    c.put(b"u" + u.encode(), users[u])
                t.put(b"r" + partition.to_bytes(2, "big") + folded_from.to_bytes(8, "big"), fingerprints)
                t.put(b"o" + partition.to_bytes(2, "big"), folded_to.to_bytes(8, "big"))
        except lmdb.Error as problem:
            raise StorageError(str(problem)) from problem

    def recent(self, partition: int) -> tuple[int, int, bytes]:
        with self._env.begin() as t:
            c = t.cursor()
            out = []
            pre = b"r" + partition.to_bytes(2, "big")
            if c.set_range(pre):
                for k, v in c.iternext():
                    if not k.startswith(pre):
                        break
                    out.append(v)
            to = self._offset(t, partition)
            data = b"".join(out)
            return to - len(data) // FINGERPRINT_BYTES, to, data

    def scan_users(self) -> Iterator[tuple[str, bytes]]:
        with self._env.begin() as t:
            c = t.cursor()
            if c.set_range(b"u"):
                for k, v in c.iternext():
                    if not k.startswith(b"u"):
                        break
                    yield k[1:].decode(), v

    def offsets(self) -> tuple[int, ...]:
        with self._env.begin() as t:
            return tuple(self._offset(t, p) for p in range(self.partitions))

    def close(self) -> None:
        self._env.close()

"""Served slates in the log: where they lie, what each had seen, and an order in which a fold passes all of these states."""

import heapq
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from reelrank.storage.event_log import EVENTS, EventLog

Vector = tuple[int, ...]  # an offset for each partition

_AT_ONCE = 5_000


class Slate(NamedTuple):
    """One slate in the log. `offsets` and `user_offset` say what its features had seen."""

    occurred_at: float
    partition: int
    offset: int
    user_id: str
    user_offset: int
    offsets: Vector
    params: str
    record: int  # where the spool holds it


class Chosen(NamedTuple):
    """Which slates are wanted: of one policy, from a moment (UTC seconds) on, the latest `limit`."""

    policy: str | None = None
    since: float | None = None
    limit: int = 200_000


EVERY_SLATE = Chosen()


class Found(NamedTuple):
    """The wanted slates in order of time, those left out by reason, and where the log ended after they were read."""

    slates: list[Slate]
    left_out: Counter[str]
    ends: Vector


class Spool:
    """Bytes that would take too much memory, in a file without a name in `folder`: kept in order, found again by their place."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `close`
        self._end = self._written = 0

    def keep(self, content: bytes) -> int:
        """Keeps some bytes; returns their place."""
        place = self._end
        self._file.write(len(content).to_bytes(4, "big") + content)
        self._end += 4 + len(content)
        return place

    def at(self, place: int) -> bytes:
        """The bytes at a place that `keep` returned."""
        if place >= self._written:
            self._file.flush()
            self._written = self._end
        size = int.from_bytes(os.pread(self._file.fileno(), 4, place), "big")
        return os.pread(self._file.fileno(), size, place + 4)

    def close(self) -> None:
        self._file.close()


class _Event(msgspec.Struct, frozen=True, gc=False):
    """As much of an event as tells whether it is a slate, and which."""

    type: str
    user_id: str = ""
    policy: str = ""
    offsets: Vector = ()
    user_offset: int = 0
    params: str = ""


class _Accepted(msgspec.Struct, frozen=True, gc=False, array_like=True):
    event: _Event
    received_at: float
    occurred_at: float


_decode = msgspec.msgpack.Decoder(_Accepted).decode


def find_slates(log: EventLog, chosen: Chosen, params: Iterable[str], spool: Spool, on_progress: Callable[[int], None] = lambda _: None) -> Found:
    """Reads the log as far as it goes now. `params` are the fingerprints of the FeedParams that are known."""
    known = frozenset(params)
    left_out: Counter[str] = Counter()
    latest: list[Slate] = []  # a heap, the earliest first
    for partition, end in enumerate(_ends(log)):
        for offset, value in _records(log, partition, end, on_progress):
            accepted = _looked_at(value)
            if accepted is None or not _wanted(accepted, chosen):
                continue
            slate = accepted.event
            reason = _why_not(slate, log.partitions, known)
            if reason:
                left_out[reason] += 1
                continue
            found = Slate(accepted.occurred_at, partition, offset, slate.user_id, slate.user_offset, slate.offsets, slate.params, spool.keep(value))
            if len(latest) < chosen.limit:
                heapq.heappush(latest, found)
            else:
                heapq.heappushpop(latest, found)
                left_out[f"only the latest {chosen.limit:,} slates are looked at"] += 1
    # anew: a slate read last may have seen what came after the other partitions were read
    return Found(sorted(latest), left_out, _ends(log))


def in_chains(vectors: Iterable[Vector]) -> list[list[Vector]]:
    """The distinct vectors as few ascending chains, in each of which no partition ever goes back: what one fold can pass on its way.

    Of one machine's counters there is one chain; of several machines each may have been ahead elsewhere.
    """
    chains: list[list[Vector]] = []
    for vector in sorted(set(vectors), key=lambda one: (sum(one), one)):
        for chain in chains:
            if all(before <= now for before, now in zip(chain[-1], vector, strict=True)):
                chain.append(vector)
                break
        else:
            chains.append([vector])
    return chains


def _ends(log: EventLog) -> Vector:
    return tuple(log.end(EVENTS, partition) for partition in range(log.partitions))


def _records(log: EventLog, partition: int, end: int, on_progress: Callable[[int], None]) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < end and (records := log.read(EVENTS, partition, offset, _AT_ONCE)):
        yield from ((record.offset, record.value) for record in records if record.offset < end)
        offset = records[-1].offset + 1
        on_progress(len(records))


def _looked_at(value: bytes) -> _Accepted | None:
    """The slate in a record, None if it holds something else."""
    if b"\xa6served" not in value[:64]:  # a look at the bytes spares decoding what is no slate; the type is what an event begins with
        return None
    try:
        accepted = _decode(value)
    except msgspec.DecodeError:  # the fold leaves it out, too
        return None
    return accepted if accepted.event.type == "served" else None


def _wanted(accepted: _Accepted, chosen: Chosen) -> bool:
    if chosen.policy is not None and accepted.event.policy != chosen.policy:
        return False
    return chosen.since is None or accepted.occurred_at >= chosen.since


def _why_not(slate: _Event, partitions: int, params: frozenset[str]) -> str:
    """Why the features of a slate can't be computed again; empty if they can."""
    if len(slate.offsets) != partitions:
        return "it does not say what the counters had seen"
    if slate.params not in params:
        return f"made with params {slate.params or '(unknown)'}, which are not those of the configuration"
    return ""


def beyond(slate: Slate, ends: Sequence[int]) -> bool:
    """Whether a slate says that it had seen more than the log holds."""
    return slate.user_offset > ends[slate.partition] or any(offset > end for offset, end in zip(slate.offsets, ends, strict=True))

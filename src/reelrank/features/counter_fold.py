"""The counter fold: folds the signals of every partition into this machine's counters, every origin once."""

import logging
from collections.abc import Sequence

import numpy as np

from reelrank.features import windows
from reelrank.features.packing import pack, unpack
from reelrank.features.signals import Block, Ints, UnknownSignals, decode_block
from reelrank.features.windows import COUNTERS
from reelrank.storage.counter_store import CounterStore, Kind, Position
from reelrank.storage.event_log import SIGNALS, EventLog

logger = logging.getLogger(__name__)

_BLOCKS = 64  # of a partition that are read at a time
_EVENTS = 100_000  # once blocks of so many events are there, they are folded: bounds memory
_SMALL = 4_000  # targets: up to here all kinds are folded at once, for less than half the time; beyond, that gains nothing and takes memory


class CounterFold:
    """Follows SIGNALS into a CounterStore."""

    def __init__(self, log: EventLog, counters: CounterStore, blocks: int = _BLOCKS) -> None:
        self._log = log
        self._counters = counters
        self._blocks = blocks

    def waiting_at(self) -> dict[int, int]:
        """Per partition, the offset of SIGNALS that is folded next."""
        return dict(enumerate(self._counters.position().signals))

    def fold_once(self, partitions: Sequence[int] | None = None, until: Sequence[int] | None = None) -> int:
        """Folds the next blocks of all partitions (or some) in one commit; returns how many blocks those were, begun ones included.

        With `until` only what comes from below these offsets of EVENTS, one for each partition.
        """
        before = self._counters.position()
        origins, signals, begun = list(before.origins), list(before.signals), 0
        blocks: list[Block] = []
        for partition in range(self._log.partitions) if partitions is None else partitions:
            limit = None if until is None else until[partition]
            if limit is not None and limit <= origins[partition]:
                continue
            for record in self._log.read(SIGNALS, partition, signals[partition], self._blocks):
                if sum(origins) - sum(before.origins) >= _EVENTS:
                    break
                block = _readable(record.value, partition)
                if limit is not None and block is not None and block.origin_to > limit:
                    block, begun = block.until(limit), begun + 1  # the rest is read again when it may be counted
                else:
                    signals[partition] = record.offset + 1
                if block is None or block.origin_to <= origins[partition]:
                    continue
                if block.origin_from > origins[partition]:  # an append that failed halfway: whoever sent it sends all of it again
                    logger.warning("signals of partition %d from %d on wait for those from %d", partition, block.origin_from, origins[partition])
                    continue
                blocks.append(block.since(origins[partition]))
                origins[partition] = block.origin_to
                if block.origin_to == limit:
                    break
        after = Position(tuple(origins), tuple(signals))
        if after == before:
            return 0
        self._counters.commit(before, after, _folded(self._counters, blocks))
        return sum(signals) - sum(before.signals) + begun


def _readable(record: bytes, partition: int) -> Block | None:
    try:
        return decode_block(record)
    except UnknownSignals as problem:
        logger.error("signals of partition %d were not counted: %s", partition, problem)
        return None


def _folded(counters: CounterStore, blocks: Sequence[Block]) -> dict[Kind, tuple[Ints, list[bytes]]]:
    """The new records of all that the blocks count for."""
    shifts = np.cumsum([0] + [len(block.origins) for block in blocks])
    entries = int(shifts[-1])
    if entries == 0:
        return {}
    seconds = np.concatenate([block.seconds for block in blocks])
    owners = np.concatenate([block.amount_entries + shift for block, shift in zip(blocks, shifts, strict=False)])
    cells = owners * COUNTERS + np.concatenate([block.amount_counters for block in blocks])
    amounts = np.concatenate([block.amounts for block in blocks])
    counted = np.bincount(cells, weights=amounts.astype(np.float64), minlength=entries * COUNTERS)
    table = counted.astype(np.float64).reshape(entries, COUNTERS)  # exact far beyond int32
    target_entries = np.concatenate([block.target_entries + shift for block, shift in zip(blocks, shifts, strict=False)])
    kinds = np.concatenate([block.target_kinds for block in blocks])
    keys = np.concatenate([block.target_keys for block in blocks])
    folded: dict[Kind, tuple[Ints, list[bytes]]] = {}
    for kinds_at_once in [list(Kind)] if len(keys) <= _SMALL else [[kind] for kind in Kind]:
        chosen = [np.flatnonzero(kinds == kind) for kind in kinds_at_once]
        named = [np.unique(keys[places], return_inverse=True) for places in chosen]
        ends = np.cumsum([len(distinct) for distinct, _ in named]).tolist()
        begins = [0, *ends[:-1]]
        stored = counters.read({kind: distinct for kind, (distinct, _) in zip(kinds_at_once, named, strict=True)})
        state = unpack([record for kind in kinds_at_once for record in stored.records[kind]])
        places = np.concatenate([place + begin for (_, place), begin in zip(named, begins, strict=True)])
        records = pack(windows.fold(state, places, target_entries[np.concatenate(chosen)], seconds, table))
        for kind, (distinct, _), begin, end in zip(kinds_at_once, named, begins, ends, strict=True):
            folded[kind] = distinct, records[begin:end]
    return folded

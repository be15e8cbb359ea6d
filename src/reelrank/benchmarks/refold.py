"""The state that the log alone gives: folded from the beginning into stores of its own, to be compared bit for bit."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from reelrank.config import Settings, StorageConfig
from reelrank.features.counter_fold import CounterFold
from reelrank.features.user_fold import UserFold
from reelrank.storage.counter_store import CounterStore, Kind
from reelrank.storage.online_store import OnlineStore
from reelrank.wiring import Reelrank, open_reelrank

_NAMED = 10

Records = dict[tuple[str, str | int], bytes]  # (what, whose) -> the record


@contextmanager
def embedded_beside(system: Reelrank, folder: Path) -> Iterator[Reelrank]:
    """An empty embedded deployment below `folder`, cut into as many partitions as `system`."""
    storage = StorageConfig(partitions=system.settings.storage.partitions, repeat_window=system.settings.storage.repeat_window)
    beside = open_reelrank(msgspec.structs.replace(Settings(data_dir=str(folder), stream=system.settings.stream), storage=storage))
    try:
        yield beside
    finally:
        beside.close()


def user_fold_into(system: Reelrank, beside: Reelrank) -> UserFold:
    """Folds the log of `system` into the stores of `beside`; what it means for videos goes into the log of `beside`."""
    settings = system.settings
    return UserFold(system.log, beside.store, system.columns, settings.storage.repeat_window, settings.stream, signals_log=beside.log)


class Compared(NamedTuple):
    """How many of the records differ in any bit, how many there are, and the names of some that differ."""

    different: int
    compared: int
    names: list[str]


def mismatches(system: Reelrank, folder: Path) -> Compared:
    """Compares a system that stands still with what one uninterrupted fold makes."""
    with embedded_beside(system, folder) as beside:
        fold = user_fold_into(system, beside)
        for partition in range(system.log.partitions):
            while fold.fold_once(partition):
                pass
        counter_fold = CounterFold(beside.log, beside.counters)
        while counter_fold.fold_once():
            pass
        return differences(everything_in(system.store, system.counters), everything_in(beside.store, beside.counters))


def differences(one: Records, other: Records) -> Compared:
    """Compares records by their names."""
    names = one.keys() | other.keys()
    different = [f"{what} {whose}" for what, whose in names if one.get((what, whose)) != other.get((what, whose))]
    return Compared(len(different), len(names), sorted(different)[:_NAMED])


def everything_in(store: OnlineStore, counters: CounterStore) -> Records:
    """Every record by its name: users, counters of each kind, and how far they are folded."""
    found: Records = {("user", user_id): record for user_id, record in store.scan_users()}
    for kind in Kind:
        keys, records = counters.scan(kind)
        found |= {(kind.name, key): record for key, record in zip(keys.tolist(), records, strict=True)}
    found |= {("users folded", partition): offset.to_bytes(8, "big") for partition, offset in enumerate(store.offsets())}
    found |= {("counters folded", partition): offset.to_bytes(8, "big") for partition, offset in enumerate(counters.position().origins)}
    return found

"""The stream: the process that folds the log, its share of the partitions into users and every signal into this machine's counters."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack

from reelrank.features.counter_fold import CounterFold
from reelrank.features.user_fold import StreamConfig, UserFold
from reelrank.storage.counter_store import CounterStore
from reelrank.storage.event_log import EVENTS, SIGNALS, EventLog, StorageError

logger = logging.getLogger(__name__)

GROUP = "stream"


class Stream:
    """Follows the event log and keeps the online store and this machine's counters current.

    Of several streams each folds its share of the partitions, and one on each machine folds the counters.
    """

    def __init__(self, log: EventLog, users: UserFold, counter_fold: CounterFold, counters: CounterStore, config: StreamConfig | None = None) -> None:
        self.users = users
        self._log = log
        self._counter_fold = counter_fold
        self._counters = counters
        self._config = config or StreamConfig()

    def follow(self, stopping: Callable[[], bool]) -> None:
        """Folds what comes until `stopping` says so. While a store is away it tries again and again."""
        while not stopping():
            try:
                self._follow(stopping)
            except StorageError as problem:
                logger.warning("the stream waits: %s", problem)
                time.sleep(self._config.pause_s)

    def catch_up(self) -> int:
        """Folds every partition to the end of the log as it is now; returns how many records that took."""
        folded = 0
        for partition in range(self._log.partitions):
            while count := self.users.fold_once(partition):
                folded += count
        while self._counter_fold.fold_once():
            pass
        return folded

    def _follow(self, stopping: Callable[[], bool]) -> None:
        with ExitStack() as held:
            membership = self._log.join(GROUP)
            held.callback(membership.close)
            counting = False
            mine: frozenset[int] = frozenset()
            while not stopping():
                now_mine = membership.partitions()
                for partition in mine - now_mine:
                    self.users.forget(partition)
                mine = now_mine
                if not counting and (claim := self._counters.claim()) is not None:
                    held.enter_context(claim)
                    counting = True
                ready = self._log.wait(EVENTS, {partition: self.users.offset(partition) for partition in mine}, self._config.poll_s)
                for partition in ready:
                    self.users.fold_once(partition)
                if counting:
                    self._count(0.0)

    def _count(self, timeout_s: float) -> None:
        ready = self._log.wait(SIGNALS, self._counter_fold.waiting_at(), timeout_s)
        if ready:
            self._counter_fold.fold_once(sorted(ready))

"""The stream: the process that folds the log, its share of the partitions into users and every signal into this machine's counters."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reelrank.features.counter_fold import CounterFold
from reelrank.features.side_by_side import Job, SideBySide
from reelrank.features.user_fold import StreamConfig, UserFold
from reelrank.storage.counter_store import CounterStore
from reelrank.storage.event_log import EVENTS, SIGNALS, EventLog, StorageError

logger = logging.getLogger(__name__)

GROUP = "stream"
FOLLOWERS = ("users-follower", "counters-follower")  # the names of the threads


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

    def follow(self, stopping: Callable[[], bool], *, users: bool = True, counters: bool = True) -> None:
        """Folds what comes until `stopping` says so: users, counters, or both. While a store is away it tries again and again.

        Each has a thread of its own: users do not wait for counters, and counting is array work that leaves the interpreter to others.
        """

        def until_stopped(follow: Callable[[Callable[[], bool]], None]) -> Job:
            return lambda ended: follow(lambda: stopping() or ended.is_set())

        jobs = zip(FOLLOWERS, (self._follow_users, self._follow_counters), (users, counters), strict=True)
        with SideBySide({name: until_stopped(follow) for name, follow, wanted in jobs if wanted}) as following:
            following.wait()

    def catch_up(self) -> int:
        """Folds every partition to the end of the log as it is now; returns how many records that took."""
        folded = 0
        for partition in range(self._log.partitions):
            while count := self.users.fold_once(partition):
                folded += count
        while self._counter_fold.fold_once():
            pass
        return folded

    def _follow_users(self, stopping: Callable[[], bool]) -> None:
        membership = self._log.join(GROUP)
        mine: frozenset[int] = frozenset()
        try:
            while not stopping():
                with self._patience():
                    before, mine = mine, membership.partitions()
                    for partition in before - mine:
                        self.users.forget(partition)
                    ready = self._log.wait(EVENTS, {partition: self.users.offset(partition) for partition in mine}, self._config.poll_s)
                    self.users.fold(sorted(ready))
        finally:
            membership.close()

    def _follow_counters(self, stopping: Callable[[], bool]) -> None:
        while (claim := self._counters.claim()) is None:  # another process of this machine has it
            if stopping():
                return
            time.sleep(self._config.poll_s)
        with claim:
            while not stopping():
                with self._patience():
                    ready = self._log.wait(SIGNALS, self._counter_fold.waiting_at(), self._config.poll_s)
                    began = time.monotonic()
                    if ready:
                        self._counter_fold.fold_once(sorted(ready))
                        time.sleep(max(0.0, began + self._config.count_every_s - time.monotonic()))

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """A store that is away is waited for."""
        try:
            yield
        except StorageError as problem:
            logger.warning("the stream waits: %s", problem)
            time.sleep(self._config.pause_s)

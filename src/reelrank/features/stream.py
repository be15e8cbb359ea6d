"""The stream: the process that folds the log, its share of the partitions into users and every signal into this machine's counters."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from reelrank.features.counter_fold import CounterFold
from reelrank.features.user_fold import StreamConfig, UserFold
from reelrank.storage.counter_store import CounterStore
from reelrank.storage.event_log import EVENTS, SIGNALS, EventLog, Membership, StorageError

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

    def follow(self, stopping: Callable[[], bool], *, users: bool = True, counters: bool = True) -> None:
        """Folds what comes until `stopping` says so: users, counters, or both. While a store is away it tries again and again."""
        with ExitStack() as held:
            following = _Following(self._log.join(GROUP) if users else None, None)
            if following.membership is not None:
                held.callback(following.membership.close)
            while not stopping():
                try:
                    if counters and following.claim is None and (claim := self._counters.claim()) is not None:
                        held.enter_context(claim)
                        following.claim = claim
                    self._turn(following)
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

    def _turn(self, following: "_Following") -> None:
        """Folds what is there; waits a moment for news when there is none."""
        mine = frozenset[int]() if following.membership is None else following.membership.partitions()
        for partition in following.mine - mine:
            self.users.forget(partition)
        following.mine = mine
        topic, offsets = EVENTS, {partition: self.users.offset(partition) for partition in mine}
        if not mine and following.claim is not None:
            topic, offsets = SIGNALS, self._counter_fold.waiting_at()
        ready = self._log.wait(topic, offsets, self._config.poll_s)
        if topic == EVENTS:
            self.users.fold(sorted(ready))
        if following.claim is not None:
            self._counter_fold.fold_once(sorted(self._log.wait(SIGNALS, self._counter_fold.waiting_at(), 0.0)))


@dataclass
class _Following:
    """What a stream holds while it follows."""

    membership: Membership | None
    claim: AbstractContextManager[None] | None  # on this machine's counters
    mine: frozenset[int] = frozenset()

"""Point in time: the features of slates of the past, computed again from the log alone, as of what each slate had seen."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows
from reelrank.domain.event import Accepted, Context, Served, decode_accepted
from reelrank.domain.params import FeedParams
from reelrank.domain.user import User
from reelrank.features.columns import VideoColumns
from reelrank.features.counter_fold import CounterFold
from reelrank.features.definitions import COLUMN
from reelrank.features.encoding import encode
from reelrank.features.reader import FeatureReader
from reelrank.features.sequences import decode_user
from reelrank.features.served_slates import Slate, Spool, Vector, in_chains
from reelrank.features.user_fold import StreamConfig, UserFold
from reelrank.storage.counter_store import CounterStore
from reelrank.storage.event_log import EventLog
from reelrank.storage.online_store import OnlineStore

CoWatchAt = Callable[[Mapping[str, str], User, Rows], NDArray[np.float64] | None]  # models by version -> strengths, None if they are not kept any more
OnProgress = Callable[[int], None]

_NOWHERE = Context()
_SLATES_AT_ONCE = 200  # bounds the matrices
_FOLDED_AT_ONCE = 2_000  # where slates are: what counters have to be cut out of stays small
_BLOCKS_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class ScratchStores:
    """Empty stores that nobody else sees; nothing in them has to survive anything."""

    users: OnlineStore
    signals: EventLog
    counters: Callable[[], AbstractContextManager[CounterStore]]  # a new, empty one each time
    spool: Spool


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A slate and what its features should have been."""

    served: Served
    slate: Slate
    features: NDArray[np.float32]  # (videos, F)
    co_watch_known: bool  # False: the model of that moment is gone, and the column says nothing


class PointInTime:
    """Folds EVENTS into scratch stores, stopping wherever a slate had stopped.

    A user's state and the counters stand at offsets of their own. So the users go first: partition by partition, each
    user kept as of the slate. Then the signals that this gave are folded into counters, once for each chain of offsets.
    """

    def __init__(
        self,
        log: EventLog,
        columns: VideoColumns,
        scratch: ScratchStores,
        co_watch: CoWatchAt,
        params: Mapping[str, FeedParams],  # by fingerprint
        repeat_window: int,
        config: StreamConfig | None = None,
    ) -> None:
        self._log = log
        self._columns = columns
        self._scratch = scratch
        self._co_watch = co_watch
        self._params = params
        self._repeat_window = repeat_window
        self._config = config or StreamConfig()
        self._states: dict[tuple[int, int], int | None] = {}  # (partition, offset) of a slate -> where the spool holds its user

    def fold_users(self, slates: Sequence[Slate], on_progress: OnProgress = lambda _: None) -> None:
        """Keeps the user of every slate as the slate had seen them, and makes the signals of all that any of them had seen."""
        for partition in range(self._log.partitions):
            mine: defaultdict[int, list[Slate]] = defaultdict(list)
            for slate in slates:
                if slate.partition == partition:
                    mine[slate.user_offset].append(slate)
            last = max((slate.offsets[partition] for slate in slates), default=0)
            first = min((slate.offsets[partition] for slate in slates), default=0)
            stops = sorted({first, last, *mine})
            coarse = self._fold(self._config.batch)
            self._advance(coarse, partition, stops[0], on_progress)
            fine = self._fold(min(_FOLDED_AT_ONCE, self._config.batch))
            for stop in stops:
                self._advance(fine, partition, stop, on_progress)
                self._keep_users(mine[stop])

    def recomputed(self, slates: Sequence[Slate]) -> Iterator[Recomputed | tuple[Slate, str]]:
        """Every slate with its features, or with the reason why there are none. Before that, `fold_users` has seen the same slates."""
        groups: defaultdict[Vector, list[Slate]] = defaultdict(list)
        for slate in slates:
            groups[slate.offsets].append(slate)
        for chain in in_chains(groups):
            with self._scratch.counters() as counters:
                fold = CounterFold(self._scratch.signals, counters, _BLOCKS_AT_ONCE)
                reader = FeatureReader(self._scratch.users, counters, self._columns)
                for vector in chain:
                    while counters.position().origins != vector and fold.fold_once(until=vector):
                        pass
                    waiting = iter(sorted(groups[vector], key=lambda slate: slate.params))
                    while together := list(islice(waiting, _SLATES_AT_ONCE)):
                        yield from self._together(reader, together)

    @contextmanager
    def as_seen(self, slate: Slate) -> Iterator[tuple[User, FeatureReader]]:
        """The user of one slate and the counters, as the slate had seen them. Before that, `fold_users` has seen it."""
        with self._scratch.counters() as counters:
            fold = CounterFold(self._scratch.signals, counters, _BLOCKS_AT_ONCE)
            while counters.position().origins != slate.offsets and fold.fold_once(until=slate.offsets):
                pass
            yield self.user_of(slate), FeatureReader(self._scratch.users, counters, self._columns)

    def user_of(self, slate: Slate) -> User:
        """The user of one slate as the slate had seen them."""
        return self._user(slate, stored(self._scratch.spool, slate))

    def _fold(self, batch: int) -> UserFold:
        config = msgspec.structs.replace(self._config, batch=batch)
        return UserFold(self._log, self._scratch.users, self._columns, self._repeat_window, config, signals_log=self._scratch.signals)

    def _advance(self, fold: UserFold, partition: int, stop: int, on_progress: OnProgress) -> None:
        while count := fold.fold_once(partition, until=stop):
            on_progress(count)

    def _keep_users(self, slates: Sequence[Slate]) -> None:
        """Puts the users of slates, as they are folded now, into the spool; each once."""
        user_ids = sorted({slate.user_id for slate in slates})
        records = self._scratch.users.read(user_ids).users if user_ids else []
        kept = {user_id: None if record is None else self._scratch.spool.keep(record) for user_id, record in zip(user_ids, records, strict=True)}
        for slate in slates:
            self._states[slate.partition, slate.offset] = kept[slate.user_id]

    def _together(self, reader: FeatureReader, slates: Sequence[Slate]) -> Iterator[Recomputed | tuple[Slate, str]]:
        """Slates that have seen the same counters."""
        known: list[tuple[Slate, Served, Rows]] = []
        for slate in slates:
            served = stored(self._scratch.spool, slate)
            rows = [self._columns.row_of(shown.video_id) for shown in served.videos]
            if None in rows:
                yield slate, "it holds a video that the catalogue does not have"
            elif not all(shown.features for shown in served.videos):
                yield slate, "it was recorded without features"
            else:
                known.append((slate, served, np.array(rows, dtype=np.int64)))
        if not known:
            return
        users = [self._user(slate, served) for slate, served, _ in known]
        sizes = [len(rows) for *_, rows in known]
        owner = np.repeat(np.arange(len(known)), sizes)
        moments = np.array([slate.occurred_at if served.scored_at is None else served.scored_at for slate, served, _ in known])
        contexts = [served.context or _NOWHERE for _, served, _ in known]
        reading = reader.read(users, owner, np.concatenate([rows for *_, rows in known]), moments, contexts)
        by_params = {one: encode(reading, self._columns, contexts, self._params[one]) for one in {slate.params for slate, *_ in known}}
        ends = np.cumsum(sizes).tolist()
        for (slate, served, rows), user, size, end in zip(known, users, sizes, ends, strict=True):
            features = by_params[slate.params][end - size : end].copy()
            strengths = self._co_watch(served.models, user, rows)
            if strengths is not None:
                features[:, COLUMN["co_watch"]] = strengths
            yield Recomputed(served, slate, features, strengths is not None)

    def _user(self, slate: Slate, served: Served) -> User:
        place = self._states[slate.partition, slate.offset]
        user = decode_user(served.user_id, None if place is None else self._scratch.spool.at(place), slate.user_offset)
        return user if served.personalized else user.unknown()


def stored(spool: Spool, slate: Slate) -> Served:
    """A slate as it was served."""
    accepted: Accepted = decode_accepted(spool.at(slate.record))
    assert isinstance(accepted.event, Served)
    return accepted.event

"""A large app as long use leaves it: a million videos, full histories, counters and models, written straight into the stores."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import numpy as np

from reelrank.benchmarks.large_models import LearnedTowers, learn_towers, publish_models
from reelrank.benchmarks.made_log import PLACES, Visits, as_records, made_videos, publish, shares
from reelrank.config import Settings
from reelrank.domain.event import Event
from reelrank.domain.video import Video
from reelrank.storage.counter_store import CounterStore, Keys, Kind
from reelrank.storage.event_log import EVENTS, partition_of
from reelrank.storage.online_store import OnlineStore
from reelrank.wiring import Reelrank, open_reelrank

MODELS = 300  # users who are folded from what they did; the others have the same records under other names
_MARKER = "world.json"  # written last
_VISITS = (26, 80)  # of a folded user: ten watches each, so that every history is full
_DAYS = 30.0
_DAY_S = 86_400.0
_AT_ONCE = 2_000
_WATCHES = 10  # in a visit, at most
_ENOUGH = 30  # watches of a learned user whose like is to be made
_BLOCK = 50_000
_PER_ROW = (Kind.VIDEO, Kind.AUTHOR, Kind.SOUND)
_INDEXED_USERS = 20_000  # of all: what item-to-item is learned from

OnProgress = Callable[[int], None]


class LargeWorld(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in a folder. Its clock stands at `made_at`: counters of a while ago would say nothing."""

    videos: int
    users: int
    seed: int
    made_at: float  # UTC seconds
    about: dict[str, Any]

    def settings(self, folder: Path, settings: Settings | None = None) -> Settings:
        """`settings` for this world."""
        settings = settings or Settings()
        index = msgspec.structs.replace(settings.index, max_users=_INDEXED_USERS)
        return msgspec.structs.replace(settings, data_dir=str(folder), clock_shift_s=self.made_at - time.time(), index=index)

    def user_ids(self) -> list[str]:
        """Who has a history."""
        return [_name(number) for number in range(self.users)]


def open_world(folder: Path, videos: int, users: int, seed: int = 0, on_progress: OnProgress = lambda _: None) -> LargeWorld:
    """The world in `folder`, made now if it is not there. Raises ValueError if another one is."""
    marker = folder / _MARKER
    if marker.exists():
        found = msgspec.json.decode(marker.read_bytes(), type=LargeWorld)
        if (found.videos, found.users, found.seed) != (videos, users, seed):
            raise ValueError(f"{folder} holds {found.videos:,} videos and {found.users:,} users of seed {found.seed}; name another folder")
        return found
    made_at = time.time()
    made = LargeWorld(videos=videos, users=users, seed=seed, made_at=made_at, about={})
    with closing(open_reelrank(made.settings(folder))) as system:
        about = _make(system, made, on_progress)
    made = msgspec.structs.replace(made, about=about)
    marker.write_bytes(msgspec.json.encode(made))
    return made


def steps(videos: int, users: int) -> int:
    """How far `on_progress` counts."""
    return 3 * videos + users


def _make(system: Reelrank, world: LargeWorld, on_progress: OnProgress) -> dict[str, Any]:
    rng = np.random.default_rng(world.seed)
    seconds: dict[str, float] = {}
    began = time.perf_counter()

    def done(what: str, count: int) -> None:
        nonlocal began
        seconds[what] = round(time.perf_counter() - began, 1)
        began = time.perf_counter()
        on_progress(count)

    videos = made_videos(world.videos, world.made_at, world.seed)
    publish(system.catalog, videos)
    done("catalogue", world.videos)
    system.columns.refresh()
    done("columns", world.videos)
    with TemporaryDirectory(prefix="reelrank-towers-") as folder:
        towers = learn_towers(Path(folder), len(videos), world.seed) if len(videos) > system.settings.index.vectors.exact_up_to else None
        done("towers", 0)
        picked = _Anything(len(videos), rng) if towers is None else _Likely(towers, rng)
        for events in _past(videos, min(MODELS, world.users), world.made_at, picked, rng):
            system.log.append(EVENTS, list(as_records(events, world.made_at)))
            system.stream.catch_up()
        done("fold", 0)
        _name_many(system.store, [record for _, record in sorted(system.store.scan_users())], world.users)
        done("users", world.users)
        _count_all(system, rng)
        done("counters", world.videos)
        publish_models(system, world.seed, towers=towers)
        done("models", 0)
    index = system.index_builder.build()
    done("item to item", 0)
    vectors = system.vector_builder.build()
    done("vectors", 0)
    return {"seconds": seconds, "index": index, "vectors": vectors}


class _Anything:
    """What users watch by Zipf's law alone."""

    def __init__(self, videos: int, rng: np.random.Generator) -> None:
        self._seen, self._rng = np.cumsum(shares(videos)), rng

    def rows(self, user: int, number: int) -> list[int]:
        """What somebody watches in a visit."""
        return np.unique(np.searchsorted(self._seen, self._rng.random(_WATCHES))).tolist()


class _Likely:
    """What users watch who are like those that the towers have learned from: what one of them watched, or a video that lies beside it.

    By Zipf's law over all rows, of which the learned ones are the first. To histories without sense the towers give
    vectors that lie near nothing, which no search finds its way from.
    """

    def __init__(self, towers: LearnedTowers, rng: np.random.Generator) -> None:
        self._rng = rng
        self._watched = [towers.watched[place] for place in rng.permutation(len(towers.watched)) if len(towers.watched[place]) >= _ENOUGH]
        self._videos, self._learned = len(towers.beside), int(towers.beside.max()) + 1
        self._names = np.sort(towers.beside * self._videos + np.arange(self._videos))  # by the learned video, then by the row

    def rows(self, user: int, number: int) -> list[int]:
        """What somebody watches in a visit: further along what their like has watched, and from the beginning again after its end."""
        watched = self._watched[user % len(self._watched)]
        learned = watched[np.arange(number * _WATCHES, (number + 1) * _WATCHES) % len(watched)]
        ranks = np.floor(self._videos ** self._rng.random(len(learned))).astype(np.int64)  # by Zipf's law: 1 … all
        wanted = np.where(ranks <= self._learned, learned, ranks)
        last = np.searchsorted(self._names, (learned + 1) * self._videos) - 1
        found = self._names[np.minimum(np.searchsorted(self._names, learned * self._videos + wanted), last)] % self._videos
        return list(dict.fromkeys(found.tolist()))


def _past(videos: list[Video], users: int, now: float, picked: _Anything | _Likely, rng: np.random.Generator) -> Iterator[list[Event]]:
    """What the folded users did, a share of the days at a time."""
    visits = Visits(rng)
    many = rng.integers(*_VISITS, size=users)
    turns = sorted((float(at), user) for user, count in enumerate(many.tolist()) for at in rng.uniform(0, _DAYS * _DAY_S, count))
    made = Counter[int]()
    for start in range(0, len(turns), _AT_ONCE):
        events: list[Event] = []
        for at, user in turns[start : start + _AT_ONCE]:
            shown = [videos[row] for row in picked.rows(user, made[user])]
            events += visits.made(_name(user), user, f"r{user}-{made[user]}", shown, now - _DAYS * _DAY_S + at)
            made[user] += 1
        yield events


def _name_many(store: OnlineStore, records: list[bytes], users: int) -> None:
    """The records under the names of all users."""
    waiting: list[dict[str, bytes]] = [{} for _ in range(store.partitions)]
    stands_at = list(store.offsets())
    for number in range(MODELS, users):
        user_id = _name(number)
        waiting[partition_of(user_id, store.partitions)][user_id] = records[number % len(records)]
    for partition, named in enumerate(waiting):
        names = sorted(named)
        for start in range(0, len(names), _AT_ONCE):
            store.commit(partition, stands_at[partition], stands_at[partition], {name: named[name] for name in names[start : start + _AT_ONCE]}, b"")


class _Counted(NamedTuple):
    keys: Keys
    records: list[bytes]


def _count_all(system: Reelrank, rng: np.random.Generator) -> None:
    """Every video, author and sound has been counted, and videos where they are watched: what nobody watched has the counters of something else."""
    counters, columns = system.counters, system.columns
    counted = {kind: _Counted(*counters.scan(kind)) for kind in Kind}
    many = {
        Kind.VIDEO: columns.count,
        Kind.AUTHOR: int(columns.author_row[: columns.count].max()) + 1,
        Kind.SOUND: int(columns.sound_row[: columns.count].max()) + 1,
    }
    for kind in _PER_ROW:
        _write(counters, kind, np.setdiff1d(np.arange(many[kind]), counted[kind].keys), counted[kind], rng)
    surface = next(iter(columns.surfaces.values()))
    for kind, first in ((Kind.SURFACE_VIDEO, surface), *((Kind.PLACE_VIDEO, columns.places[place]) for place in PLACES if place in columns.places)):
        some = np.arange(columns.count) if kind is Kind.SURFACE_VIDEO else rng.choice(columns.count, columns.count // 20, replace=False)
        _write(counters, kind, np.setdiff1d(first << 32 | some, counted[kind].keys), counted[kind], rng)


def _write(counters: CounterStore, kind: Kind, keys: Keys, like: _Counted, rng: np.random.Generator) -> None:
    if not like.records:
        return
    position = counters.position()
    for start in range(0, len(keys), _BLOCK):
        part = keys[start : start + _BLOCK]
        counters.commit(position, position, {kind: (part, [like.records[place] for place in rng.integers(len(like.records), size=len(part)).tolist()])})


def _name(number: int) -> str:
    return f"user-{number}"

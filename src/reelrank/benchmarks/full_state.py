"""What full users and full videos take: the state that long watching leaves, weighed in the stores."""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from reelrank.benchmarks.backends import Backend, settings_for
from reelrank.benchmarks.made_log import PLACES, Visits, as_records, made_videos, publish
from reelrank.benchmarks.scratch import in_folder
from reelrank.config import Settings, StorageConfig
from reelrank.features.counter_fold import CounterFold
from reelrank.features.signals import BlockBuilder, encode_block
from reelrank.features.windows import RINGS, Counter
from reelrank.storage.counter_store import CounterStore, Kind, Position
from reelrank.storage.event_log import EVENTS, SIGNALS, Record, partition_of
from reelrank.storage.online_store import FINGERPRINT_BYTES, OnlineStore
from reelrank.wiring import Reelrank, open_reelrank

SEEN = 2_000  # videos that a full user has seen
MODELS = 100  # users folded from what they did; the others have the same records under other names
_MODEL_VIDEOS = 20_000
_STEPS = 4  # so often each user is written, with more every time
_AT_ONCE = 1_000  # users in a commit, as in a busy fold
_VIEWS_EACH = 2  # of a full video, in every bucket of every window
_BLOCK = 20_000  # entries
_VIEWED = ((Counter.IMPRESSIONS, 1), (Counter.CLICKS, 1), (Counter.LONG_VIEWS, 1), (Counter.COMPLETIONS, 1), (Counter.WATCHED_DS, 187))
_LOVED = (*_VIEWED, *((counter, 1) for counter in (Counter.LIKES, Counter.SHARES, Counter.COMMENTS, Counter.REPLAYS, Counter.STALLED_DS)))
_DAY_S = 86_400.0

OnProgress = Callable[[int], None]


def weigh(backend: Backend, count: int, seed: int = 0, directly: bool = False, on_progress: OnProgress = lambda _: None) -> dict[str, Any]:
    """Bytes in the stores for each of `count` full users and as many full videos.

    Users are written in random order and grow as a fold makes them grow; videos are folded from their signals.
    `directly` writes what this gives for a few of them under many names, once, in random order.
    """
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="reelrank-state-", ignore_cleanup_errors=True) as folder, settings_for(backend, Path(folder)) as settings:
        steps = _model_users(Path(folder) / "models", seed)
        users = _weigh_users(in_folder(Path(folder) / "users", settings), steps[-1:] if directly else steps, count, rng, on_progress)
    with tempfile.TemporaryDirectory(prefix="reelrank-state-", ignore_cleanup_errors=True) as folder:
        videos = _weigh_videos(Path(folder), min(count, _MODEL_VIDEOS) if directly else count, seed, on_progress, count if directly else None)
    return {"bytes_per_user": users.pop("bytes"), "bytes_per_video": videos.pop("bytes"), "count": count, "users": users, "videos": videos}


def state_steps(count: int, directly: bool = False) -> int:
    """How far `on_progress` counts."""
    modelled = min(count, _MODEL_VIDEOS) if directly else count
    return count * (2 if directly else _STEPS) + modelled + 2 * max(1, modelled // 10)


def _weigh_users(settings: Settings, steps: Sequence[Sequence[bytes]], count: int, rng: np.random.Generator, on_progress: OnProgress) -> dict[str, Any]:
    with closing(open_reelrank(settings)) as system:
        system.store.offsets()
    before = _bytes_of_users(settings)
    with closing(open_reelrank(settings)) as system:
        for records in steps:
            _write_users(system.store, records, rng.permutation(count).tolist())
            on_progress(count)
    taken = _bytes_of_users(settings) - before
    record = float(np.mean([len(record) for record in steps[-1]]))
    return {"bytes": round(taken / count, 1), "record": round(record, 1), "seen": SEEN, "times_written": len(steps)}


def _write_users(store: OnlineStore, records: Sequence[bytes], order: Sequence[int]) -> None:
    """Every user once, in this order, in commits of one partition each."""
    waiting: list[dict[str, bytes]] = [{} for _ in range(store.partitions)]
    stands_at = list(store.offsets())

    def commit(partition: int) -> None:
        # as if one event had told all of it: what is kept of events is the same for any number of users
        store.commit(partition, stands_at[partition], stands_at[partition] + 1, waiting[partition], bytes(FINGERPRINT_BYTES))
        stands_at[partition] += 1
        waiting[partition] = {}

    for user in order:
        user_id = f"user-{user}"
        partition = partition_of(user_id, store.partitions)
        waiting[partition][user_id] = records[user % len(records)]
        if len(waiting[partition]) == _AT_ONCE:
            commit(partition)
    for partition, left in enumerate(waiting):
        if left:
            commit(partition)


def _model_users(folder: Path, seed: int) -> list[list[bytes]]:
    """The records of full users, folded from what they did over 30 days; in steps, the last one full."""
    rng = np.random.default_rng(seed)
    now = time.time()
    with closing(open_reelrank(Settings(data_dir=str(folder), storage=StorageConfig(partitions=1)))) as system:
        made = made_videos(_MODEL_VIDEOS, now, seed)
        publish(system.catalog, made)
        visits = Visits(rng)
        shown = [rng.choice(len(made), size=SEEN, replace=False).reshape(-1, 10).tolist() for _ in range(MODELS)]
        slates = len(shown[0])
        steps: list[list[bytes]] = []
        for number in range(slates):
            at = now - 30 * _DAY_S * (1 - number / slates)
            events = [
                event
                for user, rows in enumerate(shown)
                for event in visits.made(f"user-{user}", user, f"r{user}-{number}", [made[row] for row in rows[number]], at + float(rng.uniform(0, 3_600)))
            ]
            system.log.append(EVENTS, list(as_records(events, now)))
            if (number + 1) % (slates // _STEPS) == 0:
                system.stream.catch_up()
                steps.append([record for _, record in sorted(system.store.scan_users())])
        return steps


def _bytes_of_users(settings: Settings) -> int:
    """What the online store takes: pages in use, or the memory of the server."""
    url = settings.storage.online_store
    scheme, _, path = url.partition(":")
    if scheme != "file":
        from redis import Redis

        with Redis.from_url(url) as client:
            return int(client.info("memory")["used_memory"])  # pyright: ignore
    with lmdb.open(str(Path(settings.data_dir) / path), readonly=True, create=False) as environment:
        stat = environment.stat()
        return stat["psize"] * (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"])


def _weigh_videos(folder: Path, count: int, seed: int, on_progress: OnProgress, named: int | None) -> dict[str, Any]:
    """Bytes of each of `count` full videos; with `named`, of so many that have the records of these."""
    rng = np.random.default_rng(seed)
    with closing(open_reelrank(Settings(data_dir=str(folder / "everywhere"), storage=StorageConfig(partitions=1)))) as system:
        views = _fold_views(system, count, rng, on_progress, placed=False)
        counters = system.counters
        if named is not None:
            counters = CounterStore(folder / "named", 1)
            _write_videos(system.counters, counters, count, named, rng)
            on_progress(named)
        taken = counters.used_bytes() / (named or count)
        records = {kind.name.lower(): _records_of(counters, kind) for kind in Kind}
    placed = max(1, count // 10)
    with closing(open_reelrank(Settings(data_dir=str(folder / "places"), storage=StorageConfig(partitions=1)))) as system:
        _fold_views(system, placed, rng, on_progress, placed=False)
        before = system.counters.used_bytes()
    with closing(open_reelrank(Settings(data_dir=str(folder / "placed"), storage=StorageConfig(partitions=1)))) as system:
        _fold_views(system, placed, rng, on_progress, placed=True)
        of_places = _records_of(system.counters, Kind.PLACE_VIDEO)
        per_place = (system.counters.used_bytes() - before) / of_places["count"]
    return {"bytes": round(taken, 1), "bytes_per_place": round(per_place, 1), "views": views, "records": {**records, "place_video": of_places}}


def _fold_views(system: Reelrank, videos: int, rng: np.random.Generator, on_progress: OnProgress, placed: bool) -> int:
    """Folds the views of full videos; returns how many each of them has."""
    now = time.time()
    publish(system.catalog, made_videos(videos, now))
    columns = system.columns
    columns.refresh()
    columns.name_places(PLACES[:-1])
    places = np.array([columns.places.get(place, -1) for place in PLACES]) if placed else np.array([-1])
    newest = int(now) // RINGS[0][0] * RINGS[0][0]
    moments = sorted(newest - bucket * bucket_s + view for bucket_s, buckets in RINGS for bucket in range(buckets) for view in range(_VIEWS_EACH))
    told = 0
    builder = BlockBuilder(columns)
    for at in moments:
        for row, place, chance in zip(rng.permutation(videos).tolist(), rng.choice(places, videos).tolist(), rng.random(videos).tolist(), strict=True):
            builder.video(told, at, row, place, _VIEWED if chance < 0.9 else _LOVED)
            told += 1
            if told % _BLOCK == 0 or told == videos * len(moments):
                begin = (told - 1) // _BLOCK * _BLOCK
                system.log.append(SIGNALS, [Record("", encode_block(builder.block(begin, told)), 0)])
                builder = BlockBuilder(columns)
    fold = CounterFold(system.log, system.counters)
    while fold.fold_once():
        pass
    on_progress(videos)
    return len(moments)


def _write_videos(models: CounterStore, into: CounterStore, modelled: int, count: int, rng: np.random.Generator) -> None:
    """The records of the modelled videos and what they share, under the names of `count` videos."""
    stands_at = 0
    for kind in Kind:
        keys, records = models.scan(kind)
        if kind is Kind.PLACE_VIDEO:
            places, rows = keys >> 32, keys & 0xFFFFFFFF
        else:
            places, rows = np.zeros_like(keys), keys
        copies = 1 if kind in (Kind.TAG, Kind.EVERYTHING) else count // modelled
        many = np.concatenate([places << 32 | rows + modelled * copy for copy in range(copies)])
        order = rng.permutation(len(many))
        for start in range(0, len(order), _BLOCK):
            part = order[start : start + _BLOCK]
            before, after = Position((stands_at,), (stands_at,)), Position((stands_at + 1,), (stands_at + 1,))
            into.commit(before, after, {kind: (many[part], [records[place % len(records)] for place in part.tolist()])})
            stands_at += 1


def _records_of(counters: CounterStore, kind: Kind) -> dict[str, float]:
    _, records = counters.scan(kind)
    return {"count": len(records), "bytes": round(float(np.mean([len(record) for record in records])), 1) if records else 0.0}

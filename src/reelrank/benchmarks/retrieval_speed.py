"""How well and how fast the nearest of a million vectors are found, side by side with two graph indexes, and how soon a new video is."""

import importlib
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from reelrank.benchmarks import new_video_search
from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.trained_towers import Resampling, TrainedTowers, intrinsic_dimension, relative_contrast, train_towers
from reelrank.candidates.followed_index import VectorsConfig
from reelrank.candidates.frozen_vectors import NEAREST, FrozenVectors, freeze
from reelrank.candidates.row_bits import every
from reelrank.candidates.vector_index import VectorIndex
from reelrank.domain.arrays import Floats, Rows

OnProgress = Callable[[int], None]
Ask = Callable[[Floats], Rows]  # a query (d,) -> the rows that were found

_MODULES = {"hnswlib": "hnswlib", "usearch": "usearch.index"}
PEERS = tuple(_MODULES)
_LINKS, _BUILT_WITH = 16, 100  # of each vector in a graph index, and how many candidates are kept while it is built
_FIRST_EF, _LAST_EF = 100, 6_400  # candidates that a search in a graph keeps: doubled until it finds as much as ours
_SEEN, _SEEN_NEAR = 450, 50  # videos that each user has seen: anywhere, and among the nearest
_AT_A_TIME = 20_000  # vectors that a graph index takes at once
_LIVE = 1_000  # of the vectors, added after the index was built


def measure(
    vectors: int = 1_000_000, queries: int = 500, users: int = 8_000, epochs: int = 6, publications: int = 40, peers: bool = True, seed: int = 0,
    on_progress: OnProgress = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """One thread. A query is the vector of a real user, pushed as the videos' are; the index was tuned on other users."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="reelrank-vectors-", ignore_cleanup_errors=True) as folder:
        towers = train_towers(Path(folder) / "towers", users, epochs, seed, on_progress)
        resampling = Resampling.of(towers.video_vectors)
        made = resampling.more(towers.video_vectors, vectors, rng, on_progress)
        people = rng.permutation(towers.user_vectors)
        probes, asked = (resampling.more(half, queries, rng) for half in np.array_split(people, 2))
        nearest = _nearest(made, asked)
        ours = _ours(Path(folder), made, probes, asked, nearest, rng, on_progress)
        contrast = _contrast(towers, resampling, made, asked, rng)
        beside = {name: _beside(name, made, asked, nearest[:, :NEAREST], ours["recall_at_100"], on_progress) for name in (PEERS if peers else ())}
        del made
        return {
            **ours,
            "new_video_ms": new_video_search.measure(towers, publications, on_progress),
            "peers": beside,
            **contrast,
            "data": towers.source,
            "towers": {"recall_at_100": round(towers.recall_at_100, 4), "width": towers.video_vectors.shape[1], "videos": len(towers.videos)},
            "train_s": round(towers.seconds, 1),
            "vectors": vectors,
            "queries": queries,
            "seen": _SEEN + _SEEN_NEAR,
            "live": _LIVE,
            "users": users,
            "epochs": epochs,
            "seed": seed,
        }


def _nearest(made: Floats, asked: Floats) -> Rows:
    """The rows of twice as many as are looked for, by every inner product, nearest first: (queries, 2 * NEAREST)."""
    import faiss

    faiss.omp_set_num_threads(1)
    return faiss.knn(asked, made, min(2 * NEAREST, len(made)), metric=faiss.METRIC_INNER_PRODUCT)[1]


def _ours(folder: Path, made: Floats, probes: Floats, asked: Floats, nearest: Rows, rng: np.random.Generator, on_progress: OnProgress) -> dict[str, Any]:
    """The index as it serves: most vectors frozen, the last ones live; what was seen is passed over, and some of it is what lies nearest."""
    frozen = len(made) - min(_LIVE, len(made) // 10)
    began = time.perf_counter()
    built = freeze(folder, frozen, lambda rows: made[rows[0] : rows[-1] + 1], probes, VectorsConfig().recall, on_progress)
    seconds = time.perf_counter() - began
    index = VectorIndex(made.shape[1], FrozenVectors(folder))
    index.add(made[frozen:])
    only = every(len(made))
    seen = [np.unique(np.concatenate([rng.integers(0, len(made), _SEEN), rng.choice(rows, _SEEN_NEAR, replace=False)])) for rows in nearest]
    wanted = [rows[~np.isin(rows, passed)][:NEAREST] for rows, passed in zip(nearest, seen, strict=True)]
    passing = iter(seen)
    recall, ms = _asked(lambda query: index.nearest(query, NEAREST, next(passing), only)[0], asked, wanted)
    index_bytes = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return {
        "recall_at_100": recall,
        "ms": spread(ms, digits=3),
        "build_s": round(seconds, 1),
        "bytes": index_bytes,
        "cells": built.cells,
        "visited": built.visited,
        "recall_of_probes": round(built.recall, 4),
    }


def _beside(name: str, made: Floats, asked: Floats, nearest: Rows, wanted: float, on_progress: OnProgress) -> dict[str, Any]:
    """A peer at the first setting with which it finds at least as much as ours, or at its last one; it passes nothing over, which is less to do."""
    try:
        module = importlib.import_module(_MODULES.get(name, name))
    except ImportError as problem:
        return {"left_out": f"{problem}; pip install {name}"}
    began = time.perf_counter()
    at = (_hnswlib if name == "hnswlib" else _usearch)(module, made, on_progress)
    seconds = time.perf_counter() - began
    ef = _FIRST_EF
    while True:
        recall, ms = _asked(at(ef), asked, nearest)
        if recall >= wanted or ef >= _LAST_EF:
            return {"recall_at_100": recall, "ms": spread(ms, digits=3), "ef": ef, "build_s": round(seconds, 1), "version": version(name)}
        ef *= 2


def _hnswlib(module: Any, made: Floats, on_progress: OnProgress) -> Callable[[int], Ask]:
    index = module.Index(space="ip", dim=made.shape[1])
    index.init_index(len(made), M=_LINKS, ef_construction=_BUILT_WITH)
    index.set_num_threads(1)
    for start in range(0, len(made), _AT_A_TIME):
        index.add_items(made[start : start + _AT_A_TIME])
        on_progress(len(made[start : start + _AT_A_TIME]))

    def at(ef: int) -> Ask:
        index.set_ef(ef)
        return lambda query: index.knn_query(query[None], NEAREST, num_threads=1)[0][0].astype(np.int64)

    return at


def _usearch(module: Any, made: Floats, on_progress: OnProgress) -> Callable[[int], Ask]:
    index = module.Index(ndim=made.shape[1], metric="ip", dtype="f32", connectivity=_LINKS, expansion_add=_BUILT_WITH)
    for start in range(0, len(made), _AT_A_TIME):
        some = made[start : start + _AT_A_TIME]
        index.add(np.arange(start, start + len(some)), some, threads=1)
        on_progress(len(some))

    def at(ef: int) -> Ask:
        index.expansion_search = ef
        return lambda query: np.asarray(index.search(query, NEAREST, threads=1).keys, dtype=np.int64)

    return at


def _asked(ask: Ask, asked: Floats, wanted: Sequence[Rows] | Rows) -> tuple[float, list[float]]:
    """The mean share of what was wanted that is found, and the milliseconds of each query."""
    shares, ms = [], []
    for query, rows in zip(asked, wanted, strict=True):
        began = time.perf_counter()
        found = ask(query)
        ms.append((time.perf_counter() - began) * 1000)
        shares.append(np.isin(rows, found).mean())
    return round(float(np.mean(shares)), 4), ms


def _contrast(towers: TrainedTowers, resampling: Resampling, made: Floats, asked: Floats, rng: np.random.Generator) -> dict[str, Any]:
    """How hard the vectors are to search, as they were learned, as many that were resampled, and all of these."""
    learned, queries = towers.video_vectors, towers.user_vectors
    as_many = resampling.more(learned, len(learned), rng)
    return {
        "relative_contrast": {
            "learned": round(relative_contrast(queries, learned), 3),
            "as_many_resampled": round(relative_contrast(asked, as_many), 3),
            "resampled": round(relative_contrast(asked, made), 3),
        },
        "intrinsic_dimension": {"learned": round(intrinsic_dimension(learned), 1), "as_many_resampled": round(intrinsic_dimension(as_many), 1)},
        "nearest_neighbour_distance": round(resampling.distance / (resampling.length or 1.0), 3),
    }

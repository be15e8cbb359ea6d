"""Builds the frozen parts of the vector indexes, each for one version of a model, and publishes them beside it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from zlib import crc32

import numpy as np

from reelrank.candidates.followed_index import MODEL, VIDEOS, FrozenIndexes, VectorsConfig
from reelrank.candidates.frozen_vectors import freeze
from reelrank.candidates.graph_neighbours import GRAPH, edges_of, found_by
from reelrank.candidates.nearest import TWO_TOWER, user_vector, vectors_of
from reelrank.domain.arrays import Floats, Rows
from reelrank.domain.clock import Clock
from reelrank.domain.user import User
from reelrank.features.columns import VideoColumns
from reelrank.features.sequences import decode_user
from reelrank.models.graph_vectors import GraphVectors
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.online_store import OnlineStore


@dataclass(frozen=True, slots=True)
class _Parts:
    """What an index is built of."""

    count: int  # rows that have a vector, from the first on
    vectors_of: Callable[[Rows], Floats]
    user_of: Callable[[User], Floats | None]


class VectorBuilder:
    """Looks what is published of each model, and builds its index where there is none, or where many videos have come since."""

    def __init__(self, store: OnlineStore, columns: VideoColumns, artifacts: ArtifactStore, clock: Clock, config: VectorsConfig | None = None) -> None:
        self._store = store
        self._columns = columns
        self._artifacts = artifacts
        self._clock = clock
        self._config = config or VectorsConfig()

    def build(self) -> str:
        """Publishes what is wanted; says what it did."""
        self._columns.refresh()
        done = [self._build(TWO_TOWER, self._of_towers), self._build(GRAPH, self._of_graph)]
        return f"vectors: {'; '.join(filter(None, done)) or 'nothing to build'}"

    @property
    def lacks(self) -> bool:
        """Whether something that is published can't go live before its index is built."""
        live = ((self._indexes(name), self._artifacts.current(name)) for name in (TWO_TOWER, GRAPH))
        return any(model is not None and not indexes.ready(model) for indexes, model in live)

    def _indexes(self, name: str) -> FrozenIndexes:
        return FrozenIndexes(self._artifacts, name, self._columns, self._config.exact_up_to)

    def _build(self, name: str, parts_of: Callable[[Path], _Parts]) -> str:
        indexes = self._indexes(name)
        model = self._artifacts.current(name)
        if model is None or not indexes.needed:
            return ""
        built = indexes.of(model.manifest.version)
        known = 0 if built is None else int(built.manifest.about[VIDEOS])
        if built is not None and self._columns.count - known <= self._config.live_share * known:
            return ""
        self._artifacts.verify(model)
        parts = parts_of(model.folder)
        return "" if parts.count <= known else self._publish(indexes, model.manifest.version, parts)

    def _publish(self, indexes: FrozenIndexes, version: str, parts: _Parts) -> str:
        name, began = indexes.name, time.perf_counter()
        about: dict[str, str | int | float] = {MODEL: version}  # told in full once it is built: the manifest is written afterwards

        def write(folder: Path) -> None:
            made = freeze(folder, parts.count, parts.vectors_of, self._probes(parts), self._config.recall)
            about.update({VIDEOS: made.vectors, "cells": made.cells, "visited": made.visited, "recall": round(made.recall, 4)})
            about["seconds"] = round(time.perf_counter() - began, 1)

        self._artifacts.publish(name, self._clock.now(), write, about, needed=indexes.of_those_kept())
        return f"{about[VIDEOS]} of {name}, {about['visited']} of {about['cells']} cells for a recall of {about['recall']}, in {about['seconds']} s"

    def _probes(self, parts: _Parts) -> Floats:
        """The vectors of some users, who ask otherwise than videos would; where there are few, of videos too: (p, d)."""
        some = nsmallest(self._config.probes, self._store.scan_users(), key=lambda user: crc32(user[0].encode()))
        users = [vector for vector in (parts.user_of(decode_user(*one)) for one in some) if vector is not None]
        more = np.unique(np.linspace(0, parts.count - 1, self._config.probes - len(users), dtype=np.int64))
        return np.concatenate([parts.vectors_of(more), *(vector[None] for vector in users)]).astype(np.float32)

    def _of_towers(self, folder: Path) -> _Parts:
        from reelrank.models.tower_session import TowerSession  # its runtime is loaded where there is something to run

        session = TowerSession(folder)
        return _Parts(self._columns.count, vectors_of(session, self._columns), lambda user: user_vector(session, user, self._clock.now(), self._columns))

    def _of_graph(self, folder: Path) -> _Parts:
        vectors = GraphVectors.mapped(folder)

        def user_of(user: User) -> Floats | None:
            rows, amounts = edges_of(user)
            return vectors.user(rows, amounts) if len(rows) else None

        return _Parts(min(self._columns.count, len(vectors.finds)), found_by(vectors), user_of)

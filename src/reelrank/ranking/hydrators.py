"""Hydrators: fill in what is known of the candidates."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows
from reelrank.domain.candidate import Candidates
from reelrank.domain.user import User
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import COLUMN
from reelrank.features.encoding import encode
from reelrank.features.reader import FeatureReader
from reelrank.pipeline.stages import Query


class CoWatchScores(Protocol):
    """Knows how strongly a user's watches speak for videos."""

    def strength(self, user: User, rows: Rows, spoke: Mapping[str, str] = ...) -> tuple[NDArray[np.float64], dict[str, str]]:
        """For each of `rows` (n,) a number, 0 where nothing speaks for it and about 1 where much does; and which version of which model says so.

        That is the version that `spoke` to the request before, by the name of its artifact, if one did.
        """
        ...


class FeatureHydrator:
    """Fills in the feature matrix from one read of the counters."""

    name = "features"

    def __init__(self, reader: FeatureReader, columns: VideoColumns) -> None:
        self._reader = reader
        self._columns = columns

    def hydrate(self, query: Query, candidates: Candidates) -> None:
        owner = np.zeros(len(candidates), dtype=np.int64)
        reading = self._reader.read((query.user,), owner, candidates.rows, np.array([query.now]), (query.context,))
        candidates.features = encode(reading, self._columns, (query.context,), query.params)
        candidates.offsets = reading.origins


class CoWatchHydrator:
    """Fills in the co_watch feature."""

    name = "co_watch"

    def __init__(self, co_watch: CoWatchScores) -> None:
        self._co_watch = co_watch

    def hydrate(self, query: Query, candidates: Candidates) -> None:
        assert candidates.features is not None, "co_watch is hydrated after the features"
        candidates.features[:, COLUMN["co_watch"]], models = self._co_watch.strength(query.user, candidates.rows, candidates.models)
        candidates.models |= models

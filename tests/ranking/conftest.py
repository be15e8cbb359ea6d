"""A small catalogue and queries over it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import NOW
from reelrank.domain.candidate import Candidates
from reelrank.domain.event import Context
from reelrank.domain.params import FeedParams
from reelrank.domain.user import User
from reelrank.domain.video import Video
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import COLUMN, WIDTH
from reelrank.pipeline.stages import Query
from reelrank.storage.catalog_sqlite import SqliteCatalog

DAY_S = 86_400.0


@pytest.fixture
def columns(tmp_path: Path) -> VideoColumns:
    """Twelve videos: row i is by author i % 3, to sound i % 4, under the tag "even" or "odd", uploaded i days ago; row 11 is taken down."""
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
    catalog.publish(
        [
            Video(
                video_id=f"v{row}",
                author_id=f"a{row % 3}",
                sound_id=f"s{row % 4}",
                tags=("odd",) if row % 2 else ("even",),
                duration_s=10.0,
                uploaded_at=NOW - row * DAY_S,
            )
            for row in range(12)
        ]
    )
    catalog.remove(["v11"])
    columns = VideoColumns(catalog, tmp_path / "columns")
    catalog.close()
    return columns


@pytest.fixture
def query() -> Callable[..., Query]:
    """Makes queries; params by name."""

    def make(user: User | None = None, count: int = 5, seed: int = 0, **params: object) -> Query:
        return Query(user=user or User("u"), now=NOW, count=count, params=FeedParams(**params), rng=np.random.default_rng(seed), context=Context())

    return make


def candidates(rows: list[int], scores: list[float] | None = None, outcomes: float = 100.0) -> Candidates:
    """Candidates at `rows`, each with `outcomes` watches and skips behind it."""
    features = np.zeros((len(rows), WIDTH), dtype=np.float32)
    features[:, COLUMN["video_outcomes"]] = np.log1p(outcomes)
    return Candidates(
        rows=np.array(rows, dtype=np.int64),
        sources=np.ones(len(rows), dtype=np.uint32),
        source_names=("somewhere",),
        features=features,
        score=np.array(scores if scores is not None else np.zeros(len(rows)), dtype=np.float64),
    )

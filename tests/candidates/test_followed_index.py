"""A followed index: every vector lies under its own row, whatever fails on the way."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from candidates.small_app import START, SmallApp
from reelrank.candidates import followed_index
from reelrank.candidates.followed_index import MODEL, VIDEOS, FollowedIndex, FrozenIndexes
from reelrank.candidates.frozen_vectors import freeze
from reelrank.domain.arrays import Floats, Rows
from reelrank.domain.user import no_rows
from reelrank.features.columns import VideoColumns

VERSION = "the only one"
VECTORS = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)


class Model:
    """Knows the vector of every row, unless it has no memory left for a row."""

    def __init__(self) -> None:
        self.fails_at = len(VECTORS)

    def vectors_of(self, rows: Rows) -> Floats:
        if rows[-1] >= self.fails_at:
            raise MemoryError("no room")
        return VECTORS[rows]


def publish(app: SmallApp, videos: int) -> None:
    first = app.columns.count
    app.publish(*[f"v{row}" for row in range(first, first + videos)])


def build(app: SmallApp, videos: int) -> None:
    write = partial(freeze, count=videos, vectors_of=lambda rows: VECTORS[rows], probes=VECTORS[:64], recall=0.9)
    app.artifacts.publish("model_index", START + videos, write, {MODEL: VERSION, VIDEOS: videos})


def followed(app: SmallApp, model: Model, columns: VideoColumns | None = None) -> FollowedIndex:
    columns = columns or app.columns
    return FollowedIndex(VECTORS.shape[1], model.vectors_of, VERSION, FrozenIndexes(app.artifacts, "model", columns, 20), columns)


def all_found(index: FollowedIndex, videos: int) -> bool:
    """Whether each row is where its vector is, and none beyond."""
    products, wanted = VECTORS[:videos] @ VECTORS[:videos].T, range(videos)
    found = [index.index.nearest(VECTORS[row], 1, no_rows(), everywhere=True) for row in wanted]
    return len(index.index) == videos and all(rows[0] == products[row].argmax() for row, (rows, _) in zip(wanted, found, strict=True))


def test_a_frozen_part_with_videos_that_this_process_has_yet_to_learn_of_waits_for_them(app: SmallApp, tmp_path: Path) -> None:
    publish(app, 30)
    build(app, 30)
    behind = VideoColumns(app.catalog, tmp_path / "behind")
    index = followed(app, Model(), behind)
    publish(app, 20)
    build(app, 50)
    index.follow()
    assert index.index.frozen == 30 and all_found(index, 30)
    publish(app, 5)
    behind.refresh()
    index.follow()
    assert index.index.frozen == 50 and all_found(index, 55)


def test_vectors_lie_under_their_rows_after_a_batch_of_several_has_failed(app: SmallApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed_index, "_AT_A_TIME", 10)
    publish(app, 5)
    model = Model()
    index = followed(app, model)
    publish(app, 40)
    model.fails_at = 30
    with pytest.raises(MemoryError):
        index.follow()
    model.fails_at = len(VECTORS)
    index.follow()
    assert all_found(index, 45)


def test_a_frozen_part_is_taken_over_later_when_the_model_failed_the_first_time(app: SmallApp) -> None:
    publish(app, 30)
    model = Model()
    index = followed(app, model)
    build(app, 30)
    publish(app, 5)
    model.fails_at = 30
    with pytest.raises(MemoryError):
        index.follow()
    assert index.index.frozen == 0
    model.fails_at = len(VECTORS)
    index.follow()
    assert index.index.frozen == 30 and all_found(index, 35)

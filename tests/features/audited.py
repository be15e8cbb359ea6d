"""Slates that are served in a small world, and the comparison with what its log says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from features.folded_world import NOW, REPEAT_WINDOW, World
from reelrank.config import Settings, StorageConfig
from reelrank.domain.arrays import Rows
from reelrank.domain.event import Context, Served, ServedVideo
from reelrank.domain.params import FeedParams, fingerprint
from reelrank.domain.user import User
from reelrank.features.reader import FeatureReader
from reelrank.features.served_slates import EVERY_SLATE, Chosen
from reelrank.features.skew import Skew, audit
from reelrank.ranking.shown import ShownScorer
from reelrank.wiring import scratch_stores

PARAMS = FeedParams()


class NoModel:
    """Before anything is published nothing speaks."""

    def strength(self, user: User, rows: Rows) -> tuple[np.ndarray, dict[str, str]]:
        return np.zeros(len(rows)), {}


def served(world: World, name: str, user_id: str, *videos: int, at: float = NOW, reader: FeatureReader | None = None, context: Context | None = None) -> Served:
    """A slate with its features as they are read now; it is not in the log yet."""
    slate = Served(
        event_id=name,
        request_id=name,
        user_id=user_id,
        occurred_at=at,
        context=context,
        policy="test",
        videos=tuple(ServedVideo(video_id=f"v{video}") for video in videos),
    )
    return ShownScorer(reader or world.reader, world.columns, NoModel()).scored([slate], [at], PARAMS)[0]


def altered(slate: Served, place: int, column: int) -> Served:
    """The slate with one feature changed by the least that a float32 can change."""
    features = np.array(slate.videos[place].features, dtype=np.float32)
    features[column] = np.nextafter(features[column], np.float32(np.inf))
    videos = list(slate.videos)
    videos[place] = msgspec.structs.replace(videos[place], features=tuple(features.tolist()))
    return msgspec.structs.replace(slate, videos=tuple(videos))


def _without_model(models: Mapping[str, str], user: User, rows: Rows) -> np.ndarray:
    assert not models
    return np.zeros(len(rows))


def audited(world: World, chosen: Chosen = EVERY_SLATE, params: Sequence[FeedParams] = (PARAMS,)) -> Skew:
    """What the comparison says of everything served in a world."""
    settings = Settings(storage=StorageConfig(partitions=world.log.partitions, repeat_window=REPEAT_WINDOW))
    known = {fingerprint(one): one for one in params}
    with TemporaryDirectory() as folder, scratch_stores(settings, Path(folder)) as own:
        return audit(world.log, world.columns, own, _without_model, known, REPEAT_WINDOW, world.config, chosen)

"""KuaiRand as examples: the log goes through the whole system once, and what it knew of each exposure is kept.

So the features that a ranker is trained and judged on are those that a feed would have read at that moment: by
construction, they know nothing of what came later.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Served, is_completion
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import FEATURES_VERSION, WIDTH
from reelrank.features.reader import FeatureReader
from reelrank.features.tokens import deeds_of, tokens_of
from reelrank.simulation.kuairand import Exposures, KuaiRand
from reelrank.simulation.replay import TOGETHER_S, OnProgress, Prequential
from reelrank.training.examples import Examples, TrainingSet, Traits, labels_of
from reelrank.wiring import scratch_reelrank

FORMAT = 3  # changes when the same log gives other examples


def examples_of(folder: Path, cache: Path, on_progress: OnProgress = lambda _: None) -> tuple[TrainingSet, Exposures]:
    """The exposures of the log in `folder`, with one example each, in their order. Takes minutes once; then they lie below `cache`."""
    data = KuaiRand(folder)
    exposures = data.exposures()
    kept = cache / f"kuairand-{_name_of(exposures)}"
    if not (kept / "set.json").exists():
        _through_the_system(data, exposures, on_progress).save(kept)
    return TrainingSet.load(kept), exposures


def _name_of(exposures: Exposures) -> str:
    """Changes with the log, with the features and with how examples are made of them."""
    digest = hashlib.blake2b(f"{FORMAT} {FEATURES_VERSION} {TOGETHER_S}".encode(), digest_size=8)
    for column in (exposures.shown_ms, exposures.ended_ms, exposures.long_view, exposures.liked):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def _through_the_system(data: KuaiRand, exposures: Exposures, on_progress: OnProgress) -> TrainingSet:
    features = np.full((len(exposures), WIDTH), np.nan, dtype=np.float32)

    def keep(places: range, slates: Sequence[Served]) -> None:
        features[places.start : places.stop] = [slate.videos[0].features for slate in slates]

    clock = ManualClock()
    with scratch_reelrank(clock) as system:
        replay = Prequential(system, clock)
        replay.begin(data)
        replay.run(exposures, on_progress=on_progress, on_scored=keep)
        return _training_set(exposures, features, system.reader, system.columns)


def _training_set(exposures: Exposures, features: np.ndarray, reader: FeatureReader, columns: VideoColumns) -> TrainingSet:
    user_ids, user = np.unique(exposures.user_ids, return_inverse=True)
    video = columns.rows_of(exposures.video_ids.tolist())
    watched_s = (exposures.ended_ms - exposures.shown_ms) / 1000
    labels = labels_of(
        len(exposures),
        click=exposures.clicked,
        long_view=exposures.long_view,
        completion=[is_completion(*one) for one in zip(watched_s.tolist(), columns.duration_s[video].tolist(), strict=True)],
        like=exposures.liked,
        share=exposures.shared,
        follow=exposures.followed,
        comment=exposures.commented,
        hide=exposures.hidden,
    )
    examples = Examples(
        user=user,
        video=video,
        served_at=exposures.shown_ms / 1000,
        known_at=exposures.ended_ms / 1000,
        surface=np.array([columns.surfaces.get(surface, 0) for surface in exposures.surfaces.tolist()], dtype=np.int64),
        position=np.zeros(len(exposures), dtype=np.int64),
        features=features,
        labels=labels,
        watched_s=watched_s.astype(np.float32),
    )
    tokens = tokens_of(deeds_of(reader.users(user_ids.tolist())), columns.duration_s)
    return TrainingSet(examples, tokens, Traits.of(columns), user_ids)

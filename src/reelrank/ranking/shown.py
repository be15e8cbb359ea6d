"""Scores slates that somebody else chose, many at once, exactly as the feed would have scored them."""

import logging
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from reelrank.domain.arrays import Column, Rows
from reelrank.domain.candidate import Candidates
from reelrank.domain.event import Context, Served, ServedVideo
from reelrank.domain.params import FeedParams, fingerprint
from reelrank.domain.user import User
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import COLUMN
from reelrank.features.encoding import encode
from reelrank.features.reader import FeatureReader
from reelrank.ranking.hydrators import CoWatchScores
from reelrank.ranking.ranker_scorer import RankerScorer
from reelrank.ranking.scorers import Features, predictions, value

logger = logging.getLogger(__name__)

_NOWHERE = Context()


class ShownScorer:
    """Reads the features of shown videos at the moment they were shown, and what the scorer in place thinks of them."""

    def __init__(self, reader: FeatureReader, columns: VideoColumns, co_watch: CoWatchScores, ranker: RankerScorer | None = None) -> None:
        self._reader = reader
        self._columns = columns
        self._co_watch = co_watch
        self._ranker = ranker

    def scored(self, slates: Sequence[Served], moments: Sequence[float], params: FeedParams) -> list[Served]:
        """The slates with features, predictions, scores and offsets; slate i was shown at `moments[i]` (UTC seconds)."""
        if not slates:
            return []
        sizes = [len(slate.videos) for slate in slates]
        ends = np.cumsum(sizes).tolist()
        owner = np.repeat(np.arange(len(slates)), sizes)
        rows = self._columns.rows_of([shown.video_id for slate in slates for shown in slate.videos])
        users = self._reader.users([slate.user_id for slate in slates])
        contexts = [slate.context or _NOWHERE for slate in slates]
        reading = self._reader.read(users, owner, rows, np.array(moments, dtype=np.float64), contexts)
        features = encode(reading, self._columns, contexts, params)
        models: list[dict[str, str]] = []  # by slate: another version may come into force between two
        for user, size, end in zip(users, sizes, ends, strict=True):
            features[end - size : end, COLUMN["co_watch"]], spoke = self._co_watch.strength(user, rows[end - size : end])
            models.append(spoke)
        heads = predictions(features, params)
        ranked, ranker = self._ranked(users, contexts, moments, sizes, rows, features)
        heads |= ranked
        everything = Candidates(rows=rows, features=features, predictions=heads, score=value(heads, features, params))
        videos = as_scored((shown for slate in slates for shown in slate.videos), everything)
        in_force = fingerprint(params)
        return [
            msgspec.structs.replace(
                slate, videos=videos[end - size : end], offsets=reading.origins, user_offset=user.offset, params=in_force, models=spoke | ranker
            )
            for slate, user, size, end, spoke in zip(slates, users, sizes, ends, models, strict=True)
        ]

    def _ranked(
        self, users: Sequence[User], contexts: Sequence[Context], moments: Sequence[float], sizes: Sequence[int], rows: Rows, features: Features
    ) -> tuple[dict[str, Column], dict[str, str]]:
        """What the ranker says, if there is one; should it fail, the light predictions stand, as in a feed."""
        if self._ranker is None:
            return {}, {}
        try:
            return self._ranker.predictions(users, contexts, moments, sizes, rows, features)
        except Exception as problem:
            logger.warning("%s failed and slates that others chose are scored without it: %r", self._ranker.name, problem)
            return {}, {}


def as_scored(videos: Iterable[ServedVideo], candidates: Candidates) -> tuple[ServedVideo, ...]:
    """Each of `videos` with the features, predictions and score of the candidate at its place."""
    assert candidates.features is not None and candidates.score is not None
    features, scores = candidates.features.tolist(), candidates.score.tolist()
    heads = {head: values.tolist() for head, values in candidates.predictions.items()}
    lifts = {name: values.tolist() for name, values in candidates.lifts.items()}
    return tuple(
        ServedVideo(
            video_id=shown.video_id,
            sources=shown.sources,
            score=scores[place],
            predictions={head: values[place] for head, values in heads.items()},
            features=tuple(features[place]),
            propensity=shown.propensity,
            reason=shown.reason,
            lifts={name: lift for name, values in lifts.items() if (lift := values[place])},
        )
        for place, shown in enumerate(videos)
    )

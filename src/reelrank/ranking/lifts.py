"""Lifts: what the score is raised or lowered by besides what is predicted and known: wishes of the user, boosts of business rules."""

import numpy as np

from reelrank.domain.candidate import Candidates
from reelrank.features.columns import VideoColumns
from reelrank.features.rule_book import RuleBook, named_by
from reelrank.pipeline.stages import Query

WISHED, BOOSTED = "wished", "boosted"


class WishScorer:
    """Lifts what the user wants more of by `topic_lift`, lowers what they want less of by the same; under several such tags by their sum, within that."""

    name = WISHED

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns

    def score(self, query: Query, candidates: Candidates) -> None:
        columns, topics = self._columns, query.user.topics
        if not topics:
            return
        tags = columns.tag_rows[candidates.rows]
        wishes = np.zeros(len(candidates))
        for tag, amount in topics.items():
            if (row := columns.tag_named.get(tag)) is not None:
                wishes += amount * (tags == row).any(axis=1)
        candidates.lifts[WISHED] = query.params.topic_lift * np.clip(wishes, -1.0, 1.0)


class BoostScorer:
    """Lifts what business rules boost by the logarithm of how many times: the score is the logarithm of what a video is worth."""

    name = BOOSTED

    def __init__(self, book: RuleBook, columns: VideoColumns) -> None:
        self._book = book
        self._columns = columns

    def score(self, query: Query, candidates: Candidates) -> None:
        boosts = self._book.in_force(query.now, query.region).boosts
        if not boosts:
            return
        lift = np.zeros(len(candidates))
        for target, rows, amounts in boosts:
            named = named_by(target, candidates.rows, self._columns)  # (n, k), none of them twice
            places = np.minimum(np.searchsorted(rows, named), len(rows) - 1)
            lift += np.where(rows[places] == named, amounts[places], 0.0).sum(axis=1)
        candidates.lifts[BOOSTED] = lift

"""Lifts: what the score is raised or lowered by besides what is predicted and known: wishes of the user, boosts of business rules."""

import math

import numpy as np

from reelrank.domain.candidate import Candidates
from reelrank.features.columns import VideoColumns
from reelrank.features.rule_book import RuleBook, is_about
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
        boosts = self._book.in_force(query.now, query.region).of("boost")
        if not boosts:
            return
        lift = np.zeros(len(candidates))
        for rule, row in boosts:
            if row >= 0:
                lift += math.log(rule.times) * is_about(rule.target, np.array([row]), candidates.rows, self._columns)
        candidates.lifts[BOOSTED] = lift

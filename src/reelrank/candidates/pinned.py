"""Pinned: the videos that business rules give a place, so that they are candidates at all."""

from reelrank.candidates.rows import each_once, unseen
from reelrank.features.rule_book import RuleBook
from reelrank.pipeline.stages import Proposal, Query

PINNED = "pinned"


class PinnedSource:
    """Proposes what is pinned where the user is. Like everything else it must pass the filters: what was seen does not come back."""

    name = PINNED

    def __init__(self, book: RuleBook) -> None:
        self._book = book

    def propose(self, query: Query, quota: int) -> Proposal:
        rows = each_once(self._book.in_force(query.now, query.region).pinned)
        return Proposal(rows[unseen(rows, query.user.seen)][:quota])

"""The selector: best first, each beside those above it, within caps, and some places kept for videos nobody knows yet."""

from collections.abc import Sequence

import numpy as np

from reelrank.domain.candidate import Candidates
from reelrank.features.columns import VideoColumns
from reelrank.pipeline.stages import Placement, Query
from reelrank.ranking.diversity import Diversity, MarginalRelevance
from reelrank.ranking.exploration import Bars, Bools, Exploration
from reelrank.ranking.likeness import Likeness
from reelrank.ranking.visit_caps import Caps, shown_this_visit


class SlateSelector:
    """Fills the slate greedily, by the score and by what each adds to those above it (`params.diversity`).

    With probability `params.exploration` a place goes to a new video, drawn as `ranking.exploration` says; otherwise to the
    best one left. No author, sound or tag takes more places than its cap in the slate, or in the visit; when nothing else is left the
    visit's caps give way, then the slate's, because a full slate beats a tidy one.

    A propensity is how likely a place was to show its video, given the places above it.
    """

    name = "slate"

    def __init__(self, columns: VideoColumns, new_videos: Bars | None = None, diversity: Diversity = MarginalRelevance) -> None:
        self._columns = columns
        self._diversity = diversity
        self._new_videos = new_videos

    def select(self, query: Query, candidates: Candidates, beside: Sequence[int] = ()) -> Placement:
        """The slate, or the rest of one: candidates at the places `beside` have their places in it already."""
        assert candidates.score is not None, "candidates are scored before they are selected"
        # from here on in the order of the scores; ties are broken by the row: one state, one slate
        ranked = np.lexsort((candidates.rows, -candidates.score))
        ordered = candidates.take(ranked)
        count, share = min(query.count, len(candidates) - len(beside)), query.params.exploration
        slate = _Slate(self._columns, query, ordered, count + len(beside), self._diversity)
        for place in np.flatnonzero(np.isin(ranked, beside)).tolist():
            slate.take(place)
        new = self._exploration(query, ordered) if share > 0 and count else None
        while len(slate.places) < count:
            free = slate.free()
            best, reason = slate.best(free)
            if new is None or not (pool := new.pool(free)).any():
                slate.put(best, 1.0, reason)
                continue
            explored = query.rng.random() < share
            chances = new.chances(pool) if explored or pool[best] else None  # nobody else needs to know
            place = best
            if explored and chances is not None:
                place = int(query.rng.choice(len(chances), p=chances))
                reason = "explored: few people have seen it yet" if new.first[place] else "explored: it does well among new videos"
            drawn = 0.0 if chances is None else share * float(chances[place])
            slate.put(place, drawn + (1.0 - share) * (place == best), reason)
        return Placement(ranked[np.array(slate.places, dtype=np.int64)], np.array(slate.propensities), slate.reasons)

    def explorable(self, query: Query, candidates: Candidates, at_most: int) -> Bools:
        """Candidates that may be explored, (n,), `at_most` of them by lot: they stay on the way to the slate although their scores are low."""
        spared = np.zeros(len(candidates), dtype=np.bool_)
        if query.params.exploration > 0 and len(candidates):
            members = np.flatnonzero(self._exploration(query, candidates).pool(~spared))
            spared[members if len(members) <= at_most else query.rng.choice(members, at_most, replace=False)] = True
        return spared

    def _exploration(self, query: Query, candidates: Candidates) -> Exploration:
        return Exploration(query, candidates, () if self._new_videos is None else self._new_videos.bars(query.params))


class _Slate:
    """The slate so far, and which candidates, in the order of their scores, may still join it."""

    def __init__(self, columns: VideoColumns, query: Query, ordered: Candidates, count: int, diversity: Diversity) -> None:
        assert ordered.score is not None
        params, rows = query.params, ordered.rows
        self._score = ordered.score
        self._left = np.ones(len(rows), dtype=np.bool_)
        self._caps = Caps(columns, rows, (params.cap_author, params.cap_sound, params.cap_tag))
        visit_caps = (params.visit_cap_author, params.visit_cap_sound, params.visit_cap_tag)
        self._visit = Caps(columns, rows, visit_caps, shown_this_visit(query.user, query.now))
        self._diversity = diversity(Likeness(columns, rows), len(rows), count, params.diversity) if params.diversity > 0 and count > 1 else None
        self.places: list[int] = []
        self.propensities: list[float] = []
        self.reasons: list[str] = []

    def free(self) -> Bools:
        """What is left within all caps: (n,)."""
        return self._left & self._caps.open & self._visit.open

    def best(self, free: Bools) -> tuple[int, str]:
        """The best candidate that is free; if none is, one beyond the caps of the visit, and of the slate; and why it stands there."""
        allowed, gave_way = free, ""
        if not free.any():
            allowed, gave_way = self._left & self._caps.open, "; the visit's caps gave way"
            if not allowed.any():
                allowed, gave_way = self._left, "; caps gave way"
        if self._diversity is None:
            place = int(allowed.argmax())
        else:
            inside = np.flatnonzero(allowed)
            place = int(inside[(self._score[inside] + self._diversity.gains()[inside]).argmax()])
        better, alike = np.count_nonzero(self._left[:place]), np.count_nonzero(allowed[:place])
        too_many = better - alike
        reason = f"the best score left{gave_way}"
        if too_many:
            reason += f" within the caps ({too_many} better ones were one too many)"
        if alike:
            reason += f" beside those above ({alike} better ones are more like them)"
        return place, reason

    def put(self, place: int, propensity: float, reason: str) -> None:
        """Gives the next place of the slate to a candidate."""
        self.places.append(place)
        self.propensities.append(propensity)
        self.reasons.append(reason)
        self.take(place)

    def take(self, place: int) -> None:
        """A candidate stands in the slate: what comes beside it is chosen so."""
        self._left[place] = False
        self._caps.put(place)
        self._visit.put(place)
        if self._diversity is not None:
            self._diversity.put(place)

"""PageCache: what was ranked for a user and not served yet waits here for their next request, until something makes it old."""

import threading
from collections import OrderedDict
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows
from reelrank.domain.candidate import Candidates
from reelrank.domain.event import Context, Rerun
from reelrank.domain.params import FeedParams
from reelrank.domain.user import User
from reelrank.features.windows import Counter
from reelrank.pipeline.packed_candidates import pack
from reelrank.pipeline.stages import Query

_KEPT = 120  # of the best candidates: a few pages, whatever filters and caps take out of them
_STRONG = [Counter.LONG_VIEWS, Counter.LIKES, Counter.SHARES, Counter.FOLLOWS, Counter.COMMENTS, Counter.HIDES]  # what a user means


class Page(NamedTuple):
    """Candidates with their features, predictions and scores, and what they were scored with."""

    candidates: Candidates
    user: User  # as they were then
    context: Context
    params: FeedParams
    scored_at: float  # UTC seconds
    rerun: Rerun = Rerun(seed=0, count=1)  # what it takes to make it again
    personalized: bool = True

    def again(self, query: Query, seed: int) -> Rerun:
        """What it takes to make a slate out of this again that a later request was given."""
        candidates = self.candidates
        return msgspec.structs.replace(
            self.rerun,
            seed=seed,
            count=query.count,
            exploration=query.params.exploration > 0,
            sources=candidates.source_names,
            candidates=pack(candidates),
            filtered=True,
            chosen_for=query.user.offset,
        )


class PageCache:
    """The latest page of each user, the longest unused ones giving way beyond `most_bytes`. Safe to use from several threads."""

    def __init__(self, most_bytes: int) -> None:
        self.hits = 0  # requests that were answered from a page
        self.misses = 0  # that found none, none that was still good, or too little left of it
        self._most_bytes = most_bytes
        self._bytes = 0
        self._pages: OrderedDict[str, tuple[Page, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pages)

    @property
    def bytes(self) -> int:
        """What the pages take."""
        return self._bytes

    def takes(self, params: FeedParams) -> bool:
        """Whether anything is kept at all."""
        return self._most_bytes > 0 and params.page_max_age_s > 0

    def keep(self, page: Page, spared: NDArray[np.bool_] | None = None) -> None:
        """The best of what was ranked for a user, in place of what there was; those `spared` (n,) come before all others."""
        candidates = page.candidates
        assert candidates.score is not None
        if not self.takes(page.params):
            return
        first = np.zeros(len(candidates), dtype=np.bool_) if spared is None else spared
        best = candidates.take(np.lexsort((-candidates.score, ~first))[:_KEPT])
        self._put(page._replace(candidates=best))

    def leave_out(self, user_id: str, shown: Rows) -> None:
        """Takes videos that a user was `shown` besides out of what waits for them: nobody else may tell."""
        if (page := self.take(user_id)) is not None:
            self.give_back(page._replace(candidates=page.candidates.keep(~np.isin(page.candidates.rows, shown))))

    def give_back(self, page: Page) -> None:
        """A page that was taken and of which nothing was shown, unless there is a newer one by now."""
        self._put(page, unless_there=True)

    def take(self, user_id: str) -> Page | None:
        """What waits for a user, however old it is, for one request alone, which keeps what it leaves: two at once must not show the same."""
        with self._lock:
            return self._forget(user_id)

    def good(self, query: Query, versions: dict[str, str], rules: int = 0) -> Page | None:
        """Takes what waits for a query's user if it would hardly be ranked otherwise now: by the same models, `versions` by name, under the same `rules`
        (how often these have changed), for the same wish, a moment ago, and nothing was done or said since that means something."""
        with self._lock:
            found = self._pages.get(query.user.user_id)
            if found is None or found[0].rerun.rules != rules or not self._holds(found[0], query, versions):
                return None
            return self._forget(query.user.user_id)

    def count(self, found: bool) -> None:
        """Counts a request by whether it was answered from a page: only what the filters leave of one says so."""
        with self._lock:
            self.hits += found
            self.misses += not found

    def _holds(self, page: Page, query: Query, versions: dict[str, str]) -> bool:
        params, then, now = query.params, page.user, query.user
        return (
            0 <= query.now - page.scored_at <= params.page_max_age_s
            and page.params == params
            and page.personalized == query.personalized
            and (then.topics, then.bounds, then.reset_ms) == (now.topics, now.bounds, now.reset_ms)
            and _where(page.context) == _where(query.context)
            and page.candidates.models == {name: versions.get(name, "") for name in page.candidates.models}
            and bool((then.counts[_STRONG] == now.counts[_STRONG]).all())
            and len(then.blocked) == len(now.blocked)
            and now.counts[Counter.SKIPS] - then.counts[Counter.SKIPS] <= params.page_max_skips
        )

    def _put(self, page: Page, unless_there: bool = False) -> None:
        user_id, size = page.user.user_id, _bytes_of(page.candidates) + page.user.nbytes
        with self._lock:
            if unless_there and user_id in self._pages:
                return
            self._forget(user_id)
            self._pages[user_id] = (page, size)
            self._bytes += size
            while self._bytes > self._most_bytes:
                self._forget(next(iter(self._pages)))

    def _forget(self, user_id: str) -> Page | None:
        found = self._pages.pop(user_id, None)
        if found is None:
            return None
        self._bytes -= found[1]
        return found[0]


def _where(context: Context) -> Context:
    """A context without what changes from one request to the next."""
    return msgspec.structs.replace(context, bandwidth_kbps=None)


def _bytes_of(candidates: Candidates) -> int:
    arrays: list[NDArray[np.generic] | None] = [candidates.rows, candidates.sources, candidates.features, candidates.score]
    arrays += [*candidates.predictions.values(), *candidates.lifts.values()]
    return sum(array.nbytes for array in arrays if array is not None)

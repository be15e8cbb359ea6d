"""The recipe of the For You feed: what is proposed, removed, scored and chosen, in order. Read this first."""

import logging
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from msgspec.structs import replace

from reelrank.candidates.rest import RestSource
from reelrank.domain.arrays import Rows, among
from reelrank.domain.candidate import Candidates
from reelrank.domain.event import NOT_PERSONAL, Context, Rerun, Served, ServedVideo
from reelrank.domain.params import FeedParams, fingerprint
from reelrank.domain.user import User
from reelrank.features.columns import VideoColumns
from reelrank.features.reader import FeatureReader
from reelrank.features.rule_book import RuleBook
from reelrank.pipeline import runner
from reelrank.pipeline.packed_candidates import pack
from reelrank.pipeline.request_trace import RequestTrace
from reelrank.pipeline.stages import Followed, Placement, Query, Refreshable, Source
from reelrank.ranking.answered import Answered
from reelrank.ranking.answered_slate import Slate, SlatePlace
from reelrank.ranking.exploration import Bars
from reelrank.ranking.filters import (
    BlockedFilter,
    EligibleFilter,
    RemovedFilter,
    RepeatedFilter,
    RuleFilter,
    SeenFilter,
    ServedLatelyFilter,
    StaleFilter,
)
from reelrank.ranking.hydrators import CoWatchHydrator, CoWatchScores, FeatureHydrator
from reelrank.ranking.lifts import BoostScorer, WishScorer
from reelrank.ranking.page_cache import Page, PageCache
from reelrank.ranking.pinned_selector import PinnedSelector
from reelrank.ranking.ranker_scorer import RANKER, RankerScorer
from reelrank.ranking.scorers import QualityTasteScorer, ValueScorer
from reelrank.ranking.selectors import SlateSelector
from reelrank.ranking.served_log import ServedLog, new_request_id, seed_in
from reelrank.ranking.shown import ShownScorer, as_scored
from reelrank.storage.event_log import StorageError, partition_of

logger = logging.getLogger(__name__)

POLICY = "reelrank"


class FeedConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the feed runs (what it shows is in FeedParams)."""

    sources_deadline_s: Annotated[float, Meta(ge=0)] = 0.25
    source_threads: Annotated[int, Meta(ge=1)] = 4
    page_mib: Annotated[float, Meta(ge=0)] = 64.0  # for what was ranked and waits for its user's next request; 0 keeps nothing
    kept_histories_mib: Annotated[int, Meta(ge=0)] = 256  # of the histories that the ranker has encoded; 0 keeps none
    kept_histories_stale_s: Annotated[float, Meta(ge=0)] = 30.0  # within which they follow rows that are learned while they are kept


class FeedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody asks for their next videos."""

    user_id: str
    count: int = 10
    context: Context = Context()
    seed: int | None = None  # the same state and the same seed give the same slate
    exploration: bool = True
    personalized: bool = True  # False: nothing of the user counts but what they must or want not to be shown
    asked_as: str = ""  # the request's own id: a repeat as of the same moment gets the slate of the same name, which counts once

    @property
    def wish(self) -> str:
        """A short name of what is asked for. The bandwidth is none of it: it may be another one when somebody asks again."""
        return fingerprint(replace(self, user_id="", asked_as="", context=replace(self.context, bandwidth_kbps=None)))


class Feed:
    """Makes feeds. Safe to call from several threads."""

    def __init__(
        self,
        reader: FeatureReader,
        columns: VideoColumns,
        sources: Sequence[Source],
        co_watch: CoWatchScores,
        served_log: ServedLog,
        partitions: int,
        secret: bytes,
        params: FeedParams | None = None,
        config: FeedConfig | None = None,
        ranker: RankerScorer | None = None,
        refreshables: Sequence[Refreshable] = (),
        new_videos: Bars | None = None,
        models: Sequence[Followed] = (),
        rules: RuleBook | None = None,
        learned: Callable[[], int] = lambda: 0,
    ) -> None:
        """`learned` tells up to which log offset the ranker's rows have been learned."""
        self.params = params or FeedParams()
        self.sources = list(sources)
        self._reader = reader
        self._columns = columns
        self._partitions = partitions
        self._secret = secret
        self._config = config or FeedConfig()
        self.served_log = served_log
        self._refreshables = refreshables
        self._models = models
        self._learned = learned
        self.pages = PageCache(round(self._config.page_mib * (1 << 20)))
        self._answered: Answered[Slate] = Answered()
        self._executor = ThreadPoolExecutor(self._config.source_threads, thread_name_prefix="source")
        self.rules = rules or RuleBook(None, columns)
        seen, removed, eligible, ruled = SeenFilter(), RemovedFilter(columns), EligibleFilter(columns), RuleFilter(self.rules, columns)
        others = [BlockedFilter(columns), StaleFilter(columns)]
        self._filters = [removed, eligible, ruled, seen, *others]
        self._rest = RestSource(columns, [seen, removed, eligible, ruled, *others])
        self._preferences = [ServedLatelyFilter(), RepeatedFilter(columns)]  # as long as they leave a full slate
        self._hydrators = [FeatureHydrator(reader, columns), CoWatchHydrator(co_watch)]
        self._light_scorer, self._value_scorer = QualityTasteScorer(), ValueScorer()
        self._lifts = [WishScorer(columns), BoostScorer(self.rules, columns)]
        self._ranker = ranker
        self.selector = SlateSelector(columns, new_videos)
        self._shown = ShownScorer(reader, columns, co_watch, ranker)

    def recommend(self, request: FeedRequest, now: float) -> Slate:
        """The next slate of a user at the moment `now` (UTC seconds), recorded to the log as served; of a request that is repeated the same one."""
        request_id = self.name_slate(request, now)
        slate = self._answered.get(request_id) if request.asked_as else None
        if slate is None:
            slate = self._next(request_id, request, now)
            if request.asked_as:
                self._answered.keep(request_id, slate, now)
        return slate

    def _next(self, request_id: str, request: FeedRequest, now: float) -> Slate:
        trace, seed = RequestTrace(), request.seed
        if seed is None:
            seed = seed_in(request_id) if request.asked_as else secrets.randbits(63)
        with trace.stage("user"):
            user = self._user(request.user_id, trace)
            user = user if request.personalized else user.unknown()
        query = self.query(request, user, now, seed)
        if request.seed is not None:
            return self._slate(request_id, query, self._of_now(query, seed, trace), seed, trace)
        page = self.pages.good(query, {model.name: model.version for model in self._models}, self.rules.number)
        try:
            left = None if page is None else self._left_of(page, query, trace)
            self.pages.count(found=left is not None)
            return self._slate(request_id, query, left or self._of_now(query, seed, trace), seed, trace)
        except Exception:
            if page is not None:  # for `recover`
                self.pages.give_back(page)
            raise

    def recover(self, request: FeedRequest, now: float) -> Slate | None:
        """What was ranked for a user before, however long ago that is: for when `recommend` fails. None where nothing waits that may be shown now."""
        page = self.pages.take(request.user_id)
        if page is None:
            return None
        trace, seed = RequestTrace(), secrets.randbits(63)
        trace.degrade("the feed failed and shows what was ranked before")
        try:
            user = self._reader.user(request.user_id)
        except StorageError:
            user = page.user  # what was served to them since has left the page
        query = self.query(request, user if request.personalized else user.unknown(), now, seed)
        left = self._left_of(page, query, trace) if page.personalized == request.personalized else None
        if left is None:
            self.pages.give_back(page)
            return None
        return self._slate(self.name_slate(request, now), query, left, seed, trace)

    def query(self, request: FeedRequest, user: User, now: float, seed: int) -> Query:
        """A request as the stages see it; what they draw, they draw from `seed`. One with a name may be a repeat: what was served at `now` is its own."""
        params = self.params if request.exploration else msgspec.structs.replace(self.params, exploration=0.0)
        return Query(
            user=user.before_slate(now) if request.asked_as else user,
            now=now,
            count=request.count,
            params=params,
            rng=np.random.default_rng(seed),
            context=request.context,
            named=bool(request.asked_as),
            personalized=request.personalized,
        )

    def allowed(self, request: FeedRequest, rows: Rows, now: float) -> Rows:
        """Those of `rows` that may be shown to who asks; of whom nothing can be read, they are somebody of whom nothing is known."""
        try:
            user = self._reader.user(request.user_id)
        except Exception:  # this is what is shown when nothing else works
            user = User(request.user_id)
        unranked = Candidates(rows=rows, sources=np.zeros(len(rows), dtype=np.uint32))
        return runner.remove(self.query(request, user, now, 0), self._filters, unranked, RequestTrace()).rows

    def ranked(self, query: Query, candidates: Candidates, trace: RequestTrace, filtered: bool = False) -> Candidates:
        """What may be shown of what was proposed, with features, predictions and scores. What was `filtered` before is only scored."""
        if not filtered:
            candidates = runner.remove(query, self._filters, candidates, trace)
            candidates = runner.remove(query, self._preferences, candidates, trace, at_least=query.count)
        runner.hydrate(query, self._hydrators, candidates, trace)
        runner.score(query, [self._light_scorer, *self._lifts, self._value_scorer], candidates, trace)
        if self._ranker is None or not self._ranker.live:
            return candidates
        spared = self._pinned.pinned(query, candidates) | self.selector.explorable(query, candidates, query.params.ranked // 8)
        candidates = runner.shorten(candidates, query.params.ranked, trace, spared)
        return runner.rescore(query, [self._ranker, self._value_scorer], candidates, trace)  # should it fail, the light score stands

    def chosen(self, query: Query, candidates: Candidates, trace: RequestTrace) -> tuple[Candidates, Placement]:
        """The slate out of what was ranked, from the top, and how its places came about."""
        placement = runner.select(query, self._pinned, candidates, trace)
        return candidates.take(placement.places), placement

    def _of_now(self, query: Query, seed: int, trace: RequestTrace) -> Page:
        """Everything that may be shown, ranked."""
        exploration, rows = query.params.exploration > 0, self._learned()
        rerun = Rerun(
            seed=seed,
            count=query.count,
            exploration=exploration,
            named=query.named,
            catalogue=self._columns.revision,
            rules=self.rules.number,
            rows=rows,
        )
        proposed = runner.gather(query, self.sources, trace, self._executor, self._config.sources_deadline_s)
        left = runner.remove(query, self._filters, proposed, trace)
        if len(left) < query.count:
            proposed = runner.fill_up(query, self._rest, proposed, trace)
            left = runner.remove(query, self._filters, proposed, trace)
        left = runner.remove(query, self._preferences, left, trace, at_least=query.count)
        rerun = replace(rerun, sources=proposed.source_names, candidates=pack(proposed))
        return Page(self.ranked(query, left, trace, filtered=True), query.user, query.context, query.params, query.now, rerun, query.personalized)

    def _left_of(self, page: Page, query: Query, trace: RequestTrace) -> Page | None:
        """What is left of a page, and may still be shown; None where that is no full slate."""
        candidates = runner.remove(query, [*self._filters, *self._preferences], page.candidates, trace)
        return page._replace(candidates=candidates) if len(candidates) >= query.count else None

    def _slate(self, request_id: str, query: Query, page: Page, seed: int, trace: RequestTrace) -> Slate:
        """Chooses and records; what is left waits for the next request."""
        user, candidates = query.user, page.candidates
        chosen, placement = self.chosen(query, candidates, trace)
        if trace.degraded and page.scored_at == query.now:
            self.pages.leave_out(user.user_id, chosen.rows)
        elif self.pages.takes(page.params):
            rest = candidates.keep(~np.isin(candidates.rows, chosen.rows))
            page_left = page._replace(candidates=rest, rerun=replace(page.rerun, candidates=b""))
            self.pages.keep(page_left, spared=self.selector.explorable(query, rest, query.count))
        if self.served_log.away:  # then nothing that happens reaches this feed either
            trace.degrade("the event log is away")
        if len(chosen):
            rerun = page.rerun if page.rerun.candidates else page.again(query, seed)
            self.served_log.record(self.recorded(request_id, query, page, chosen, placement, trace, rerun), query.now)
        return Slate(
            request_id,
            user.user_id,
            partition_of(user.user_id, self._partitions),
            user.offset,
            query.now,
            trace.degraded,
            RANKER if RANKER in candidates.models else self._light_scorer.name,
            page.scored_at != query.now,
            candidates.models,
            self._places(user, chosen, placement),
            trace.stages,
            None if len(chosen) else self._rest.why_nothing(query),
        )

    @property
    def _pinned(self) -> PinnedSelector:
        return PinnedSelector(self.selector, self.rules)

    @property
    def ranked_by(self) -> str:
        """What has the last word on the order of slates that are made now."""
        return RANKER if self._ranker is not None and self._ranker.live else self._light_scorer.name

    def name_slate(self, request: FeedRequest, now: float) -> str:
        """A request id for what is shown to who asks; the same one wherever they ask for the same again, as the same."""
        asked_as = f"{request.asked_as}\n{request.wish}" if request.asked_as else ""
        return new_request_id(request.user_id, now, self._partitions, self._secret, asked_as)

    def score_shown(self, slates: Sequence[Served], moments: Sequence[float]) -> list[Served]:
        """Slates that another policy chose, with features, predictions and offsets as this feed reads them at `moments` (UTC seconds)."""
        return self._shown.scored(slates, moments, self.params)

    def refresh(self) -> None:
        """Picks up new artifacts and trends; one that fails keeps what it had."""
        for one in self._refreshables:
            try:
                one.refresh()
            except Exception:
                logger.exception("%s could not be refreshed and keeps what it had", type(one).__name__)

    def warm_up(self, now: float) -> None:
        """Reads what there is and makes a slate that nobody sees: the first person who asks does not wait for what is done once."""
        self._columns.refresh()
        self._reader.read_ahead()
        self.refresh()
        trace = RequestTrace()
        query = self.query(FeedRequest(user_id="warm-up"), self._user("warm-up", trace), now, seed=0)
        runner.select(query, self._pinned, self._of_now(query, 0, trace).candidates, trace)

    def flush(self) -> None:
        """Returns when every slate so far is in the log."""
        self.served_log.flush()

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        self.served_log.close()

    def _user(self, user_id: str, trace: RequestTrace) -> User:
        """What is known of a user; while the online store is away somebody new, and the answer says so."""
        try:
            return self._reader.user(user_id)
        except StorageError as problem:
            logger.warning("the feed of %r knows nothing of them: %s", user_id, problem)
            trace.degrade("the user's history is away")
            return User(user_id)

    def recorded(
        self, request_id: str, query: Query, page: Page, chosen: Candidates, placement: Placement, trace: RequestTrace, rerun: Rerun | None = None
    ) -> Served:
        """A slate as the log keeps it."""
        videos = (
            ServedVideo(
                video_id=self._columns.videos[row].video_id,
                sources=chosen.sources_of(place),
                propensity=float(placement.propensities[place]),
                reason=placement.reasons[place],
            )
            for place, row in enumerate(chosen.rows.tolist())
        )
        return Served(
            event_id=request_id,
            request_id=request_id,
            user_id=query.user.user_id,
            occurred_at=query.now,
            context=replace(page.context, region=query.context.region),
            policy=POLICY if query.personalized else NOT_PERSONAL,
            videos=as_scored(videos, chosen),
            offsets=chosen.offsets,
            user_offset=page.user.offset,
            scored_at=None if page.scored_at == query.now else page.scored_at,
            params=fingerprint(query.params),
            trace=trace.stages,
            models=chosen.models,
            rerun=rerun,
        )

    def _places(self, user: User, chosen: Candidates, placement: Placement) -> list[SlatePlace]:
        liked, following = among(chosen.rows, user.liked), among(self._columns.author_row[chosen.rows], user.followed)
        assert chosen.score is not None
        return [
            SlatePlace(
                row=int(chosen.rows[place]),
                position=place,
                score=float(chosen.score[place]),
                sources=chosen.sources_of(place),
                reason=placement.reasons[place],
                propensity=float(placement.propensities[place]),
                liked=bool(liked[place]),
                following=bool(following[place]),
            )
            for place in range(len(chosen))
        ]

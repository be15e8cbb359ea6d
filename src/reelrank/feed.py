"""The recipe of the For You feed: what is proposed, removed, scored and chosen, in order. Read this first."""

import logging
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Protocol

import msgspec
import numpy as np
from msgspec import Meta
from msgspec.structs import replace

from reelrank.domain.arrays import Rows
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
from reelrank.pipeline.stages import Placement, Query, Source
from reelrank.ranking.filters import (
    BlockedFilter,
    EligibleFilter,
    RemovedFilter,
    RepeatedFilter,
    RuleFilter,
    SeenFilter,
    ServedLatelyFilter,
    StaleFilter,
)  # fmt: skip
from reelrank.ranking.hydrators import CoWatchHydrator, CoWatchScores, FeatureHydrator
from reelrank.ranking.lifts import BoostScorer, WishScorer
from reelrank.ranking.pinned_selector import PinnedSelector
from reelrank.ranking.ranker_scorer import RANKER, RankerScorer
from reelrank.ranking.scorers import QualityTasteScorer, ValueScorer
from reelrank.ranking.selectors import CappedSelector
from reelrank.ranking.served_log import ServedLog, new_request_id
from reelrank.ranking.shown import ShownScorer, as_scored
from reelrank.storage.event_log import StorageError, partition_of

logger = logging.getLogger(__name__)

POLICY = "reelrank"


class FeedConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the feed runs (what it shows is in FeedParams)."""

    sources_deadline_s: Annotated[float, Meta(ge=0)] = 0.25
    source_threads: Annotated[int, Meta(ge=1)] = 4


class FeedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody asks for their next videos."""

    user_id: str
    count: int = 10
    context: Context = Context()
    seed: int | None = None  # the same state and the same seed give the same slate
    exploration: bool = True
    personalized: bool = True  # False: nothing of the user counts but what they must or want not to be shown


@dataclass(frozen=True, slots=True)
class SlatePlace:
    """One place of a slate."""

    row: int
    position: int
    score: float
    sources: tuple[str, ...]
    reason: str
    propensity: float
    liked: bool
    following: bool


@dataclass(frozen=True, slots=True)
class Slate:
    """The answer: which videos, in which order, and what had to be left out on the way."""

    request_id: str
    user_id: str
    partition: int  # of the log, that this user's events go to
    offset: int  # how far that is folded into what the feed knew of the user
    now: float
    degraded: list[str]
    ranked_by: str
    models: dict[str, str]  # artifact -> the version that proposed or ranked
    places: list[SlatePlace]
    stages: dict[str, dict[str, float]]


class Refreshable(Protocol):
    """Something that reads new artifacts or trends when it is told to."""

    def refresh(self) -> None: ...


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
        rules: RuleBook | None = None,
        learned: Callable[[], int] = lambda: 0,
    ) -> None:
        """`learned` tells up to which log offset the ranker's rows have been learned."""
        self.params = params or FeedParams()
        self.sources = list(sources)
        self._reader = reader
        self._learned = learned
        self._columns = columns
        self._partitions = partitions
        self._secret = secret
        self._config = config or FeedConfig()
        self.served_log = served_log
        self._refreshables = refreshables
        self._executor = ThreadPoolExecutor(self._config.source_threads, thread_name_prefix="source")
        self.rules = rules or RuleBook(None, columns)
        self._for_everybody = [RemovedFilter(columns), EligibleFilter(columns), RuleFilter(self.rules, columns)]
        self._filters = [*self._for_everybody, SeenFilter(), BlockedFilter(columns), StaleFilter(columns)]
        self._preferences = [ServedLatelyFilter(), RepeatedFilter(columns)]  # as long as they leave a full slate
        self._hydrators = [FeatureHydrator(reader, columns), CoWatchHydrator(co_watch)]
        self._light_scorer, self._value_scorer = QualityTasteScorer(), ValueScorer()
        self._lifts = [WishScorer(columns), BoostScorer(self.rules, columns)]
        self._ranker = ranker
        self._selector = PinnedSelector(CappedSelector(columns), self.rules)
        self._shown = ShownScorer(reader, columns, co_watch, ranker)

    def recommend(self, request: FeedRequest, now: float) -> Slate:
        """The next slate of a user at the moment `now` (UTC seconds), recorded to the log as served."""
        trace = RequestTrace()
        with trace.stage("user"):
            user = self._user(request.user_id, trace)
            user = user if request.personalized else user.unknown()
        request = request if request.seed is not None else replace(request, seed=secrets.randbits(63))
        query = self.query(request, user, now)
        rerun = self._rerun(request, now)

        proposed = runner.gather(query, self.sources, trace, self._executor, self._config.sources_deadline_s)
        chosen, placement = self.choose(query, proposed, trace)

        request_id = self.name_slate(user.user_id, now)  # a seed repeats the slate, never its name
        if self.served_log.away:  # then nothing that happens reaches this feed either
            trace.degrade("the event log is away")
        if len(chosen):
            rerun = replace(rerun, sources=proposed.source_names, candidates=pack(proposed))
            self.served_log.record(self.recorded(request_id, query, chosen, placement, trace, rerun), now)
        return Slate(
            request_id,
            user.user_id,
            partition_of(user.user_id, self._partitions),
            user.offset,
            now,
            trace.degraded,
            RANKER if RANKER in chosen.models else self._light_scorer.name,
            chosen.models,
            self._places(user, chosen, placement),
            trace.stages,
        )

    def query(self, request: FeedRequest, user: User, now: float) -> Query:
        """A request as the stages see it: what they draw, they draw from its seed."""
        params = self.params if request.exploration else msgspec.structs.replace(self.params, exploration=0.0)
        rng = np.random.default_rng(request.seed)
        return Query(user=user, now=now, count=request.count, params=params, rng=rng, context=request.context, personalized=request.personalized)

    def choose(self, query: Query, candidates: Candidates, trace: RequestTrace) -> tuple[Candidates, Placement]:
        """The slate out of what was proposed, from the top, and how its places came about."""
        candidates = runner.remove(query, self._filters, candidates, trace)
        candidates = runner.remove(query, self._preferences, candidates, trace, at_least=query.count)
        runner.hydrate(query, self._hydrators, candidates, trace)
        runner.score(query, [self._light_scorer, *self._lifts, self._value_scorer], candidates, trace)
        candidates = self._ranked(query, candidates, trace)
        placement = runner.select(query, self._selector, candidates, trace)
        return candidates.take(placement.places), placement

    def for_anybody(self, rows: Rows, now: float) -> Rows:
        """Those of `rows` that may be shown to somebody of whom nothing is known."""
        query, anybody = self.query(FeedRequest(user_id=""), User(""), now), Candidates(rows=rows, sources=np.zeros(len(rows), dtype=np.uint32))
        return runner.remove(query, self._for_everybody, anybody, RequestTrace()).rows

    @property
    def ranked_by(self) -> str:
        """What has the last word on the order of slates that are made now."""
        return RANKER if self._ranker is not None and self._ranker.live else self._light_scorer.name

    def name_slate(self, user_id: str, now: float) -> str:
        """A request id for something that is shown to a user."""
        return new_request_id(user_id, now, self._partitions, self._secret)

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

    def _ranked(self, query: Query, candidates: Candidates, trace: RequestTrace) -> Candidates:
        """The best by the light score, scored by the ranker where there is one; should it fail, the light score stands."""
        if self._ranker is None or not self._ranker.live:
            return candidates
        candidates = runner.shorten(candidates, query.params.ranked, trace, wanted=self._selector.pinned(query, candidates))
        return runner.rescore(query, [self._ranker, self._value_scorer], candidates, trace)

    def _rerun(self, request: FeedRequest, now: float) -> Rerun:
        """What this slate depends on, before anything of it is read."""
        assert request.seed is not None
        return Rerun(
            seed=request.seed,
            count=request.count,
            exploration=request.exploration,
            catalogue=self._columns.revision,
            rules=self.rules.in_force(now, "").number,
            rows=self._learned(),
        )

    def recorded(self, request_id: str, query: Query, chosen: Candidates, placement: Placement, trace: RequestTrace, rerun: Rerun | None = None) -> Served:
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
            context=query.context,
            policy=POLICY if query.personalized else NOT_PERSONAL,
            videos=as_scored(videos, chosen),
            offsets=chosen.offsets,
            user_offset=query.user.offset,
            params=fingerprint(query.params),
            trace=trace.stages,
            models=chosen.models,
            rerun=rerun,
        )

    def _places(self, user: User, chosen: Candidates, placement: Placement) -> list[SlatePlace]:
        liked, following = np.isin(chosen.rows, user.liked), np.isin(self._columns.author_row[chosen.rows], user.followed)
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

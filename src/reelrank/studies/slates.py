"""`evaluate slates`: what the slate's params do to recall, diversity, novelty, coverage and watch time, on KuaiRand and in simulated visits."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows
from reelrank.domain.candidate import WATCH_S, Candidates
from reelrank.domain.clock import ManualClock
from reelrank.domain.params import FeedParams
from reelrank.evaluation import retrieval
from reelrank.evaluation import slate as measures
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import COLUMN
from reelrank.feed import Feed, FeedRequest
from reelrank.pipeline.stages import Placement, Query
from reelrank.ranking.diversity import Diversity, MarginalRelevance
from reelrank.ranking.likeness import Likeness
from reelrank.ranking.scorers import value
from reelrank.ranking.selectors import SlateSelector
from reelrank.simulation.kuairand import KuaiRand
from reelrank.simulation.replay import Prequential
from reelrank.studies.determinantal import Determinantal
from reelrank.studies.feed_questions import FeedQuestions, days_before, split
from reelrank.studies.kuairand_feed import COUNT
from reelrank.studies.slate_visits import Visits, visits
from reelrank.wiring import scratch_reelrank

USERS_ASKED = 1_000  # of those of the feed protocol, evenly taken: what is compared is paired by user
STRENGTHS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)


KINDS: dict[str, Diversity] = {"mmr": MarginalRelevance, "dpp": Determinantal}  # what the feed does, and what it was chosen over


class Point(msgspec.Struct, frozen=True):
    """One setting of the slate: which number is turned, and the params with it."""

    swept: str
    value: float
    params: FeedParams
    kind: str = "mmr"


def turned(params: FeedParams, name: str, settings: Sequence[float], kind: str = "mmr") -> list[Point]:
    """Points at which one number is turned and all others stay as they are."""
    return [Point(name, setting, msgspec.structs.replace(params, **{name: setting}), kind) for setting in settings]


def points(params: FeedParams) -> list[Point]:
    """What is measured on a log, without exploration."""
    certain = msgspec.structs.replace(params, exploration=0.0)
    return [
        *turned(certain, "diversity", STRENGTHS),
        *turned(certain, "diversity", STRENGTHS, "dpp"),
        *turned(certain, "cap_tag", (2, 3, 5, 8, 20)),
        *turned(certain, "novelty_weight", (0.0, 0.1, 0.2, 0.5)),
        *turned(certain, "freshness_weight", (0.0, 0.15, 0.5, 1.0)),
    ]


def visit_points(params: FeedParams) -> list[Point]:
    """What is measured in simulated visits, which have a memory and a next slate."""
    certain = msgspec.structs.replace(params, exploration=0.0)
    return [
        *turned(certain, "diversity", STRENGTHS),
        *turned(certain, "diversity", STRENGTHS, "dpp"),
        *turned(certain, "visit_cap_author", (2, 3, 4, 99)),
        *turned(certain, "novelty_weight", (0.0, 0.1, 0.2, 0.5)),
        *turned(params, "exploration", (0.0, 0.05, 0.1, 0.2)),
    ]


def evaluate(
    folder: Path, test_from: int = 20220505, test_until: int = 20220506, on_progress: Callable[[int], None] = lambda _: None, size: Visits | None = None
) -> dict[str, Any]:
    """The curves of the slate's params: on as many days of KuaiRand before the test days as there are of these, and in simulated visits.

    On the test days only the defaults, with and without diversity. Nothing here says that diversity makes people come back: a log can't, and
    that people tire of repetition is built into the simulation. Raises DataError for days that the log does not have.
    """
    params, size = FeedParams(), size or Visits()
    with_and_without = turned(msgspec.structs.replace(params, exploration=0.0), "diversity", (0.0, params.diversity))
    simulated = [
        _told(point, visits(size, point.params, KINDS[point.kind], on_progress), lambda _: None) for point in visit_points(params)
    ]  # first, as it is the shorter wait for a mistake
    return {
        "kuairand": kuairand(folder, *days_before(test_from, test_until), points(params), on_progress),
        "kuairand_test": kuairand(folder, test_from, test_until, with_and_without, on_progress),
        "simulation": {"people": size.people * len(size.seeds), "points": simulated},
    }


@dataclass(frozen=True, slots=True)
class Scored:
    """What a selector was handed: a query and its scored candidates."""

    query: Query
    candidates: Candidates


class Recorder(SlateSelector):
    """Chooses as ever, and keeps what it was handed."""

    def __init__(self, columns: VideoColumns) -> None:
        super().__init__(columns)
        self.kept: list[Scored] = []

    def select(self, query: Query, candidates: Candidates, beside: Sequence[int] = ()) -> Placement:
        self.kept.append(Scored(query, candidates))
        return super().select(query, candidates, beside)


def kuairand(folder: Path, test_from: int, test_until: int, swept: Sequence[Point], on_progress: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """Each point on the candidates that the running feed scores for up to USERS_ASKED users; everybody knows the log up to the day before.

    `on_progress` is told how many more exposures were seen, slates made and points measured.
    """
    data, clock, began = KuaiRand(folder), ManualClock(), time.perf_counter()
    known, asked = split(data, test_from, test_until)
    with scratch_reelrank(clock) as system:
        replay = Prequential(system, clock)
        replay.begin(data)
        replay.run(known, on_progress=on_progress, predict_from=len(known))
        clock.advance_to(asked.at)
        system.index_builder.build()
        system.feed.refresh()
        some = np.unique(np.linspace(0, len(asked.user_ids) - 1, min(USERS_ASKED, len(asked.user_ids))).astype(np.int64))
        kept = recorded(system.feed, system.columns, asked.user_ids[some].tolist(), asked.at, on_progress)
        wanted = _wanted(asked, some, system.columns)
        views = np.bincount(system.columns.rows_of(known.video_ids.tolist()), minlength=system.columns.count).astype(np.float64)
        told = [_told(point, measured(kept, point, system.columns, views, wanted), on_progress) for point in swept]
    return {"test_from": test_from, "test_until": test_until, "users": len(some), "points": told, "seconds": round(time.perf_counter() - began, 1)}


def recorded(feed: Feed, columns: VideoColumns, user_ids: Sequence[str], now: float, on_progress: Callable[[int], None] = lambda _: None) -> list[Scored]:
    """The scored candidates of a slate for each user at `now`, without exploration."""
    recorder, before = Recorder(columns), feed.selector
    feed.selector = recorder
    try:
        for user_id in user_ids:
            feed.recommend(FeedRequest(user_id=user_id, count=COUNT, exploration=False, seed=0), now)
            on_progress(1)
    finally:
        feed.selector = before
    return recorder.kept


def measured(kept: Sequence[Scored], point: Point, columns: VideoColumns, views: NDArray[np.float64], wanted: Sequence[Rows]) -> dict[str, float]:
    """The means over slates that are made of recorded candidates with the params of a point; `views` (videos,) so far, `wanted` by slate."""
    selector = SlateSelector(columns, diversity=KINDS[point.kind])
    lists = np.full((len(kept), COUNT), -1, dtype=np.int64)
    of_slates: list[tuple[float, ...]] = []
    for place, scored in enumerate(kept):
        candidates = _rescored(scored.candidates, point.params)
        chosen = candidates.take(selector.select(replace(scored.query, params=point.params), candidates).places)
        lists[place, : len(chosen)] = chosen.rows
        of_slates.append(
            (
                measures.intra_list_diversity(Likeness(columns, chosen.rows).matrix()),
                measures.novelty(chosen.rows, views),
                measures.distinct_share(columns.author_row[chosen.rows]),
                measures.tag_entropy(columns.tag_rows[chosen.rows]),
                measures.expected_watch_s(_watch_s(chosen, columns)),
                float(chosen.predictions["long_view"].sum()),
            )
        )
    diversity, novelty, authors, entropy, watch_s, long_views = np.nanmean(np.array(of_slates), axis=0).tolist()
    shown = columns.author_row[lists[lists >= 0]]
    known = columns.author_row[: columns.count]
    indptr = np.concatenate([[0], np.cumsum([len(rows) for rows in wanted])])
    hits = retrieval.found(lists, indptr, np.concatenate(wanted))
    return {
        f"recall_at_{COUNT}": float(retrieval.recall(hits, np.diff(indptr)).mean()),
        "intra_list_diversity": diversity,
        "tag_entropy": entropy,
        "authors_per_place": authors,
        "novelty_bits": novelty,
        "author_coverage": measures.coverage(shown, len(np.unique(known))),
        "author_gini": measures.gini(np.bincount(shown, minlength=int(known.max(initial=0)) + 1).astype(np.float64)),
        "expected_watch_s": watch_s,
        "expected_long_views": long_views,
    }


def _rescored(candidates: Candidates, params: FeedParams) -> Candidates:
    assert candidates.features is not None
    return replace(candidates, score=value(candidates.predictions, candidates.features, params))


def _watch_s(chosen: Candidates, columns: VideoColumns) -> NDArray[np.float64]:
    """What the ranker expects; without one, how much of a video people watch times its length."""
    assert chosen.features is not None
    if WATCH_S in chosen.predictions:
        return chosen.predictions[WATCH_S]
    return chosen.features[:, COLUMN["video_watch_ratio"]].astype(np.float64) * columns.duration_s[chosen.rows]


def _wanted(asked: FeedQuestions, some: Rows, columns: VideoColumns) -> list[Rows]:
    rows = columns.rows_of(asked.video_ids.tolist())
    return [rows[asked.relevant[asked.indptr[user] : asked.indptr[user + 1]]] for user in some.tolist()]


def _told(point: Point, numbers: dict[str, float], on_progress: Callable[[int], None]) -> dict[str, Any]:
    on_progress(1)
    return {"swept": point.swept, "value": point.value, "kind": point.kind} | {name: round(number, 4) for name, number in numbers.items()}

"""Tests of the runner: sources that are late or fail, quotas, and stages that see what the ones before have done."""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from reelrank.domain.candidate import Candidates
from reelrank.domain.event import Context
from reelrank.domain.params import FeedParams
from reelrank.domain.user import User
from reelrank.pipeline import runner
from reelrank.pipeline.request_trace import RequestTrace
from reelrank.pipeline.stages import Placement, Proposal, Query, Source, Verdict


class Proposes:
    def __init__(self, name: str, *rows: int) -> None:
        self.name = name
        self.rows = rows
        self.asked: list[int] = []

    def propose(self, query: Query, quota: int) -> Proposal:
        self.asked.append(quota)
        return Proposal(np.array(self.rows, dtype=np.int64))


class Late(Proposes):
    """Proposes only once it is let go."""

    def __init__(self, name: str, let_go: threading.Event) -> None:
        super().__init__(name, 99)
        self._let_go = let_go

    def propose(self, query: Query, quota: int) -> Proposal:
        assert self._let_go.wait(30)
        return super().propose(query, quota)


class Fails(Proposes):
    def propose(self, query: Query, quota: int) -> Proposal:
        raise RuntimeError("the index is gone")


class KeepsBelow:
    def __init__(self, limit: int) -> None:
        self.name = f"below {limit}"
        self.limit = limit
        self.judged: list[list[int]] = []

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        self.judged.append(candidates.rows.tolist())
        return Verdict(candidates.rows < self.limit, "too large")


class Scores:
    def __init__(self, name: str, times: float) -> None:
        self.name, self.times = name, times

    def hydrate(self, query: Query, candidates: Candidates) -> None:
        candidates.features = candidates.rows[:, None].astype(np.float32)

    def score(self, query: Query, candidates: Candidates) -> None:
        candidates.score = (1.0 if candidates.score is None else candidates.score) * self.times * candidates.rows

    def select(self, query: Query, candidates: Candidates) -> Placement:
        assert candidates.score is not None
        places = np.argsort(-candidates.score)[: query.count]
        return Placement(places, np.ones(len(places)), ["best"] * len(places))


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def query(**quota: int) -> Query:
    return Query(user=User("ana"), now=0.0, count=2, params=FeedParams(quota=quota), rng=np.random.default_rng(0), context=Context())


def gathered(sources: list[Source], executor: ThreadPoolExecutor, trace: RequestTrace, deadline_s: float = 20.0, **quota: int) -> Candidates:
    return runner.gather(query(**{source.name: 10 for source in sources} | quota), sources, trace, executor, deadline_s)


def sources_by_row(candidates: Candidates) -> dict[int, tuple[str, ...]]:
    return {int(row): candidates.sources_of(place) for place, row in enumerate(candidates.rows)}


def test_what_several_sources_propose_is_united_and_marked(executor: ThreadPoolExecutor) -> None:
    candidates = gathered([Proposes("a", 5, 3), Proposes("b"), Proposes("c", 3, 9)], executor, RequestTrace())
    assert sources_by_row(candidates) == {3: ("a", "c"), 5: ("a",), 9: ("c",)}
    assert candidates.rows.dtype == np.int64


def test_one_more_source_fills_up_what_the_others_proposed_and_is_missed_by_nobody_if_it_fails(executor: ThreadPoolExecutor) -> None:
    trace = RequestTrace()
    few = gathered([Proposes("first", 5, 2)], executor, trace)
    asked = query(more=2, broken=2)
    more = runner.fill_up(asked, Proposes("more", 2, 1, 9), few, trace)
    assert (more.rows.tolist(), [more.sources_of(place) for place in range(len(more))]) == ([1, 2, 5], [("more",), ("first",), ("first",)])
    assert (trace.stages["sources"]["more"], trace.stages["sources"]["out"]) == (2, 3)
    assert runner.fill_up(asked, Proposes("switched off", 1), few, trace) is few
    assert trace.degraded == []
    assert runner.fill_up(asked, Fails("broken"), few, trace) is few
    assert trace.degraded == ["source broken failed"]


def test_no_source_gets_more_than_its_quota(executor: ThreadPoolExecutor) -> None:
    greedy, unasked = Proposes("greedy", 4, 3, 2, 1), Proposes("unasked", 8)
    candidates = gathered([greedy, unasked], executor, RequestTrace(), greedy=2, unasked=0)
    assert sources_by_row(candidates) == {3: ("greedy",), 4: ("greedy",)}
    assert (greedy.asked, unasked.asked) == ([2], [])


def test_a_source_that_the_params_do_not_name_is_not_asked(executor: ThreadPoolExecutor) -> None:
    source = Proposes("a", 1)
    assert len(runner.gather(query(), [source], RequestTrace(), executor, 20.0)) == 0
    assert source.asked == []


def test_a_late_source_is_counted_and_proposes_nothing(executor: ThreadPoolExecutor) -> None:
    let_go, trace = threading.Event(), RequestTrace()
    began = time.monotonic()
    try:
        candidates = gathered([Late("slow", let_go), Proposes("a", 1)], executor, trace, deadline_s=0.05)
    finally:
        let_go.set()
    assert time.monotonic() - began < 20
    assert sources_by_row(candidates) == {1: ("a",)}
    assert trace.degraded == ["source slow was late"]
    assert "slow" not in trace.stages["sources"]


def test_a_failing_source_is_counted_and_proposes_nothing(executor: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture) -> None:
    trace = RequestTrace()
    with caplog.at_level(logging.WARNING):
        candidates = gathered([Fails("broken"), Proposes("a", 1)], executor, trace)
    assert sources_by_row(candidates) == {1: ("a",)}
    assert trace.degraded == ["source broken failed"]
    assert "the index is gone" in caplog.text


def test_without_any_proposal_there_are_no_candidates(executor: ThreadPoolExecutor) -> None:
    for sources in ([], [Fails("broken")], [Proposes("empty")]):
        trace = RequestTrace()
        candidates = gathered(list(sources), executor, trace)
        assert len(candidates) == trace.stages["sources"]["out"] == 0
        assert len(runner.remove(query(), [KeepsBelow(3)], candidates, trace)) == 0


def test_a_filter_sees_what_the_ones_before_have_kept() -> None:
    first, second, third = KeepsBelow(8), KeepsBelow(9), KeepsBelow(0)
    last, trace = KeepsBelow(1), RequestTrace()
    candidates = Candidates(rows=np.array([2, 8, 5]), sources=np.array([1, 2, 3], dtype=np.uint32), source_names=("a", "b"))
    kept = runner.remove(query(), [first, second], candidates, trace)
    assert sources_by_row(kept) == {2: ("a",), 5: ("a", "b")}
    assert (first.judged, second.judged) == ([[2, 8, 5]], [[2, 5]])
    assert len(runner.remove(query(), [third, last], kept, trace)) == 0
    assert last.judged == []
    assert [(trace.stages[f"filter below {limit}"]["in"], trace.stages[f"filter below {limit}"]["out"]) for limit in (8, 9, 0, 1)] == [
        (3, 2),
        (2, 2),
        (2, 0),
        (0, 0),
    ]


def test_hydrators_scorers_and_the_selector_run_in_order() -> None:
    trace, stage = RequestTrace(), Scores("one", 1.0)
    candidates = Candidates(rows=np.array([2, 8, 5]), sources=np.ones(3, dtype=np.uint32), source_names=("a",))
    runner.hydrate(query(), [stage], candidates, trace)
    runner.score(query(), [stage, Scores("two", -1.0)], candidates, trace)
    placement = runner.select(query(), stage, candidates, trace)
    assert candidates.features is not None
    assert candidates.features.ravel().tolist() == [2.0, 8.0, 5.0]
    assert candidates.rows[placement.places].tolist() == [2, 5]
    assert list(trace.stages) == ["hydrate one", "score one", "score two", "select one"]
    assert (trace.stages["select one"]["in"], trace.stages["select one"]["out"]) == (3, 2)


class Broken(Scores):
    def score(self, query: Query, candidates: Candidates) -> None:
        candidates.predictions["half"] = np.zeros(3)
        candidates.models["broken"] = "1"
        raise RuntimeError("no such network")


def scored() -> Candidates:
    candidates = Candidates(rows=np.array([2, 8, 5]), sources=np.ones(3, dtype=np.uint32), source_names=("a",))
    Scores("light", 1.0).hydrate(query(), candidates)
    runner.score(query(), [Scores("light", 1.0)], candidates, RequestTrace())
    return candidates


def test_scores_that_fail_leave_those_before_and_nothing_of_their_own_and_the_answer_says_so(caplog: pytest.LogCaptureFixture) -> None:
    trace, before = RequestTrace(), scored()
    after = runner.rescore(query(), [Broken("ranker", 1.0), Scores("last", -1.0)], before, trace)
    assert after is before
    assert (after.predictions, after.models, trace.degraded) == ({}, {}, ["the ranker is away"])
    assert after.score is not None and after.score.argmax() == 1
    assert "no such network" in caplog.text


def test_scores_that_can_be_done_without_replace_those_before() -> None:
    trace, before = RequestTrace(), scored()
    after = runner.rescore(query(), [Scores("ranker", -1.0)], before, trace)
    assert trace.degraded == []
    assert after.score is not None and before.score is not None
    assert (after.score.argmax(), before.score.argmax()) == (0, 1)


def test_the_best_so_far_are_kept_in_their_order() -> None:
    trace = RequestTrace()
    assert runner.shorten(scored(), 2, trace).rows.tolist() == [8, 5]
    assert (trace.stages["shorten"]["in"], trace.stages["shorten"]["out"]) == (3, 2)
    assert runner.shorten(scored(), 3, RequestTrace()).rows.tolist() == [2, 8, 5]


def test_the_models_behind_proposals_are_named(executor: ThreadPoolExecutor) -> None:
    class Knows(Proposes):
        def propose(self, query: Query, quota: int) -> Proposal:
            return Proposal(np.array(self.rows, dtype=np.int64), {"lists": "7"})

    candidates = gathered([Knows("a", 1, 2), Proposes("b", 3)], executor, RequestTrace(), a=1)
    assert (candidates.models, candidates.rows.tolist()) == ({"lists": "7"}, [1, 3])


def test_every_stage_is_timed(executor: ThreadPoolExecutor) -> None:
    trace = RequestTrace()
    candidates = gathered([Proposes("a", 1, 2)], executor, trace)
    runner.remove(query(), [KeepsBelow(2)], candidates, trace)
    assert trace.stages["sources"] | {"ms": 0} == {"a": 2, "out": 2, "ms": 0}
    assert all(figures["ms"] >= 0 for figures in trace.stages.values())

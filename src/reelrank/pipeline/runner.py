"""Runs the stages in order: sources under a deadline, everything after them one by one."""

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, wait
from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.candidate import Candidates
from reelrank.pipeline.request_trace import RequestTrace
from reelrank.pipeline.stages import Filter, Hydrator, Placement, Proposal, Query, Scorer, Selector, Source

logger = logging.getLogger(__name__)

REMOVED = "removed: "  # before the reason, in the figures of a stage
_PATIENCE = 0.2  # of the time for all sources, that one may take before others need not wait for it


def gather(query: Query, sources: Sequence[Source], trace: RequestTrace, executor: Executor, deadline_s: float) -> Candidates:
    """Lets every source propose within its quota and unites what they propose; a late or failing one proposes nothing."""
    with trace.stage("sources") as figures:
        wanted = [source for source in sources if query.params.quota.get(source.name, 0) > 0]
        round_ = _Round(query, wanted)
        if wanted:
            round_.run(executor, deadline_s)
        proposals: dict[str, Proposal] = {}
        for source in wanted:
            proposal = _outcome(source.name, round_.said, trace)
            if proposal is not None:
                proposals[source.name] = proposal
                figures[source.name] = len(proposal.rows)
        candidates = _unite(proposals)
        figures["out"] = len(candidates)
    return candidates


def fill_up(query: Query, more: Source, candidates: Candidates, trace: RequestTrace) -> Candidates:
    """What was proposed and, beside it, what one more source proposes; if that fails the answer says so, and nothing is added."""
    if query.params.quota.get(more.name, 0) == 0:
        return candidates
    with trace.stage("sources") as figures:
        proposal = _outcome(more.name, {more.name: _said(query, more)}, trace)
        if proposal is None:
            return candidates
        figures[more.name] = len(proposal.rows)
        new = proposal.rows[~np.isin(proposal.rows, candidates.rows)]
        bits = np.full(len(new), 1 << len(candidates.source_names), dtype=np.uint32)
        rows, sources = np.concatenate([candidates.rows, new]), np.concatenate([candidates.sources, bits])
        order, names = np.argsort(rows), (*candidates.source_names, more.name)
        figures["out"] = len(rows)
    return Candidates(rows=rows[order], sources=sources[order], source_names=names, models=candidates.models | dict(proposal.models))


class _Round:
    """The sources of one request. One thread asks them in turn: they are quick, and handing each to a thread of its own costs more than most of them do.

    Where one of them keeps that thread waiting, another thread goes on with those that were not asked yet.
    """

    def __init__(self, query: Query, sources: Sequence[Source]) -> None:
        self.said: dict[str, Proposal | Exception] = {}
        # each draws from a generator of its own: whoever is first, a seed gives the same proposals
        self._waiting = deque((source, replace(query, rng=rng)) for source, rng in zip(sources, query.rng.spawn(len(sources)), strict=True))

    def run(self, executor: Executor, deadline_s: float) -> None:
        """Returns when all have answered, or at the deadline."""
        deadline, asking = time.monotonic() + deadline_s, [executor.submit(self._ask)]
        while (left_s := deadline - time.monotonic()) > 0 and wait(asking, timeout=min(left_s, deadline_s * _PATIENCE)).not_done:
            if self._waiting:
                asking.append(executor.submit(self._ask))
        self._waiting.clear()
        self.said = dict(self.said)  # what comes now is too late
        for one in asking:
            one.cancel()

    def _ask(self) -> None:
        said = self.said
        while self._waiting:
            with suppress(IndexError):  # another thread was faster
                source, query = self._waiting.popleft()
                said[source.name] = _said(query, source)


def remove(query: Query, filters: Sequence[Filter], candidates: Candidates, trace: RequestTrace, at_least: int = 0) -> Candidates:
    """Runs the filters one after the other; each sees what the ones before have kept.

    A filter that would leave fewer than `at_least` of what it was given gives way: it removes nothing.
    """
    for one in filters:
        with trace.stage(f"filter {one.name}") as figures:
            figures["in"] = len(candidates)
            if len(candidates):
                verdict = one.judge(query, candidates)
                left = int(np.count_nonzero(verdict.kept))
                if left < at_least:
                    figures["gave_way"] = 1
                elif left < len(candidates):
                    figures |= {f"{REMOVED}{why}": count for why, count in (verdict.removed or {verdict.reason: len(candidates) - left}).items()}
                    candidates = candidates.keep(verdict.kept)
            figures["out"] = len(candidates)
    return candidates


def hydrate(query: Query, hydrators: Sequence[Hydrator], candidates: Candidates, trace: RequestTrace) -> None:
    """Lets every hydrator fill in its fields."""
    for one in hydrators:
        with trace.stage(f"hydrate {one.name}"):
            one.hydrate(query, candidates)


def score(query: Query, scorers: Sequence[Scorer], candidates: Candidates, trace: RequestTrace) -> None:
    """Lets every scorer write its predictions, the last one the score."""
    for one in scorers:
        with trace.stage(f"score {one.name}"):
            one.score(query, candidates)


def rescore(query: Query, scorers: Sequence[Scorer], candidates: Candidates, trace: RequestTrace) -> Candidates:
    """Scores that the feed can do without: where one of them fails the answer says so, and the candidates stay as they were scored before."""
    rescored = replace(candidates, predictions=dict(candidates.predictions), models=dict(candidates.models))
    for one in scorers:
        try:
            score(query, (one,), rescored, trace)
        except Exception as problem:
            logger.warning("%s failed and the scores before it stand: %r", one.name, problem)
            trace.degrade(f"the {one.name} is away")
            return candidates
    return rescored


def shorten(candidates: Candidates, at_most: int, trace: RequestTrace, spared: NDArray[np.bool_] | None = None) -> Candidates:
    """The `at_most` candidates with the highest scores so far, in the order they came in; those `spared` (n,) come before all others."""
    if len(candidates) <= at_most:
        return candidates
    with trace.stage("shorten") as figures:
        figures["in"], figures["out"] = len(candidates), at_most
        assert candidates.score is not None, "only what was scored can be shortened"
        first = np.zeros(len(candidates), dtype=np.bool_) if spared is None else spared
        return candidates.take(np.sort(np.lexsort((-candidates.score, ~first))[:at_most]))


def select(query: Query, selector: Selector, candidates: Candidates, trace: RequestTrace) -> Placement:
    """Chooses the slate."""
    with trace.stage(f"select {selector.name}") as figures:
        placement = selector.select(query, candidates)
        figures["in"], figures["out"] = len(candidates), len(placement.places)
    return placement


def _said(query: Query, source: Source) -> Proposal | Exception:
    quota = query.params.quota[source.name]
    try:
        proposal = source.propose(query, quota)
    except Exception as problem:
        return problem
    return proposal._replace(rows=proposal.rows[:quota])


def _outcome(name: str, said: Mapping[str, Proposal | Exception], trace: RequestTrace) -> Proposal | None:
    found = said.get(name)
    if found is None:
        trace.degrade(f"source {name} was late")
        return None
    if isinstance(found, Exception):
        logger.warning("source %s failed and proposed nothing: %r", name, found)
        trace.degrade(f"source {name} failed")
        return None
    return found


def _unite(proposals: dict[str, Proposal]) -> Candidates:
    """Each proposed row once, in ascending order, with the sources that proposed it as bits."""
    names = tuple(proposals)
    if not names:
        return Candidates()
    rows, places = np.unique(np.concatenate([proposal.rows for proposal in proposals.values()]), return_inverse=True)
    sources = np.zeros(len(rows), dtype=np.uint32)
    bits = np.repeat(np.arange(len(names), dtype=np.uint32), [len(proposal.rows) for proposal in proposals.values()])
    np.bitwise_or.at(sources, places, np.uint32(1) << bits)
    models = {name: version for proposal in proposals.values() for name, version in proposal.models.items()}
    return Candidates(rows=rows.astype(np.int64), sources=sources, source_names=names, models=models)

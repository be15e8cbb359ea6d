"""A slate of the past made again from the log and the artifacts alone, beside what was served, and what differs and why."""

import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from reelrank.benchmarks.skew_audit import known_params
from reelrank.candidates.co_watched import ITEM_TO_ITEM, CoWatchedSource, CoWatches
from reelrank.domain.event import Accepted, Context, Rerun, Served, encode_accepted
from reelrank.domain.params import FeedParams
from reelrank.features.point_in_time import PointInTime
from reelrank.features.reader import FeatureReader
from reelrank.features.rule_book import RuleBook
from reelrank.features.served_slates import Slate, Spool, beyond
from reelrank.feed import Feed, FeedRequest
from reelrank.models.row_updates import ROWS_FROM, decode_update
from reelrank.pipeline import runner
from reelrank.pipeline.packed_candidates import unpack
from reelrank.pipeline.request_trace import RequestTrace
from reelrank.ranking.page_cache import Page
from reelrank.ranking.ranker_scorer import RANKER, RankerScorer, load_ranker
from reelrank.ranking.ranker_session import KeptHistories
from reelrank.ranking.scorers import parts
from reelrank.ranking.served_log import ServedLog, parse_request_id
from reelrank.serving.hot_swap import PARTITION, HotSwap
from reelrank.serving.why_api import find_served
from reelrank.simulation.demo import Progress
from reelrank.storage.event_log import EVENTS, MODEL_ROWS, EventLog
from reelrank.storage.published import Published
from reelrank.wiring import Reelrank, scratch_stores

_UPDATES_AT_ONCE = 200
_RANKED_WITHIN_S = 1.0  # of its moment, a slate is
_SAME = 1e-4  # in scores: a network that scores another number of candidates at once sums in another order


class NotExplained(Exception):
    """A slate can't be made again."""


class Place(msgspec.Struct, frozen=True):
    """One place of a slate, as it was served or made again."""

    video_id: str
    score: float
    parts: dict[str, float]
    sources: tuple[str, ...]
    propensity: float | None
    reason: str


class Explained(msgspec.Struct, frozen=True):
    """A slate as it was served, and as it came out again."""

    request_id: str
    user_id: str
    served_at: float
    policy: str
    params: str
    models: dict[str, str]
    seed: int
    same: bool  # the same videos at the same places, with the same scores
    differences: tuple[str, ...]
    missing: tuple[str, ...]  # what it was made with and is not there any more, or not as it was
    candidates: dict[str, int]  # source -> how many it proposed
    removed: dict[str, int]  # why -> how many were removed, when it was made again
    stages: dict[str, dict[str, float]]
    served: tuple[Place, ...]
    again: tuple[Place, ...]


def explain(system: Reelrank, request_id: str, progress: Progress, scratch: str | None = None) -> Explained:
    """Makes a slate of the log of a system again; that may be running. `scratch` names a folder for what this needs on the way.

    The user and the counters are folded again up to the offsets that the slate had seen, the models are loaded in the versions
    that it names, the rules are those of its moment, and chance is drawn from its seed. What the sources proposed is taken from
    the record: they read what their machine knew just then. Raises NotExplained.
    """
    accepted, partition = _found(system.log, request_id)
    served = accepted.event
    assert isinstance(served, Served)
    rerun = served.rerun
    if rerun is None:
        raise NotExplained(f"{request_id} does not say what it takes to make it again; it is of another policy, or older than this release")
    params = known_params(system.settings.params).get(served.params)
    if params is None:
        raise NotExplained(f"{request_id} was made with params {served.params}, which are not those of the configuration; give the one of then with --config")
    system.columns.refresh()
    with (
        tempfile.TemporaryDirectory(prefix="reelrank-explain-", dir=scratch, ignore_cleanup_errors=True) as folder,
        scratch_stores(system.settings, Path(folder)) as own,
    ):
        slate = _slate(accepted, served, partition, own.spool)
        if beyond(slate, [system.log.end(EVENTS, one) for one in range(system.log.partitions)]):
            raise NotExplained(f"{request_id} had seen more than the log holds; was the log replaced?")
        past = PointInTime(system.log, system.columns, own, lambda *_: None, {}, system.settings.storage.repeat_window, system.settings.stream)
        with progress.task("folding the log up to the slate", sum(slate.offsets)) as on_progress:
            # a slate out of what waited was scored for the user of then, and chosen for the user of now
            chosen_for = slate._replace(offset=1, user_offset=rerun.chosen_for) if rerun.filtered else slate
            past.fold_users([slate, chosen_for], on_progress)
        with past.as_seen(slate) as (user, reader), closing(ServedLog(own.signals)) as nowhere:
            feed, gone = _feed_of_then(system, served, rerun, reader, nowhere)
            with closing(feed):
                request = FeedRequest(
                    user_id=served.user_id,
                    count=rerun.count,
                    context=served.context or Context(),
                    exploration=rerun.exploration,
                    personalized=served.personalized,
                    asked_as=request_id if rerun.named else "",
                )
                trace, scored_at = RequestTrace(), accepted.occurred_at if served.scored_at is None else served.scored_at
                query = feed.query(request, user, scored_at, rerun.seed)
                ranked = feed.ranked(query, unpack(rerun.candidates, rerun.sources, {}), trace, rerun.filtered)
                if rerun.filtered:
                    query = feed.query(request, past.user_of(chosen_for), accepted.occurred_at, rerun.seed)
                chosen, placement = feed.chosen(query, ranked, trace)
                page = Page(ranked, user, query.context, query.params, scored_at, rerun, served.personalized)
                remade = feed.recorded(request_id, query, page, chosen, placement, trace)
    was, again = _places(served, params), _places(remade, params)
    differences = _differences(was, again)
    if differences:
        gone += _learned_meanwhile(system, served, scored_at)
    missing = (*gone, *_changed_since(system, rerun))
    proposed = {name: int(count) for name, count in served.trace.get("sources", {}).items() if name not in {"ms", "in", "out"}}
    return Explained(
        request_id, served.user_id, accepted.occurred_at, served.policy, served.params, served.models, rerun.seed, not differences,
        tuple(differences), missing, proposed, _removed(trace.stages), trace.stages, was, again,
    )  # fmt: skip


def _found(log: EventLog, request_id: str) -> tuple[Accepted, int]:
    place = parse_request_id(request_id) if len(request_id) <= 64 else None
    if place is None or place[0] >= log.partitions:
        raise NotExplained(f"{request_id!r} is no request id of this deployment; take it from the answer of /v1/feed")
    found = find_served(log, request_id, *place)
    if found is None:
        raise NotExplained(f"the log holds no slate {request_id!r}")
    return found, place[0]


def _slate(accepted: Accepted, served: Served, partition: int, spool: Spool) -> Slate:
    record = spool.keep(encode_accepted(accepted))
    return Slate(accepted.occurred_at, partition, 0, served.user_id, served.user_offset, served.offsets, served.params, record)


def _feed_of_then(system: Reelrank, served: Served, rerun: Rerun, reader: FeatureReader, nowhere: ServedLog) -> tuple[Feed, list[str]]:
    """A feed with the models and rules of a slate, and what of these is not there any more."""
    gone: list[str] = []

    def version(name: str, load: Any) -> Published[Any]:
        held = Published.held(system.artifacts, name, load, served.models.get(name, ""))
        if name in served.models and held.live is None:
            gone.append(f"{name} {served.models[name]} is not kept any more: the slate is made without it")
        return held

    co_watched = CoWatchedSource(version(ITEM_TO_ITEM, CoWatches.load))
    ranker = None
    if RANKER in served.models:
        published = version(RANKER, load_ranker)
        if published.live is not None:
            begin = int(published.live.manifest.about.get(ROWS_FROM, 0))
            if begin < min(system.log.begin(MODEL_ROWS, PARTITION), rerun.rows):
                gone.append(f"rows that {RANKER} {published.version} had learned by then are not kept any more: the slate is made without them")
            rows = HotSwap(published, system.log)
            while rows.step(until=rerun.rows):
                pass
        ranker = RankerScorer(published, system.columns, KeptHistories(0, 0.0))
    book = RuleBook(None, system.columns)
    book.hold(rerun.rules, system.rules.as_of(rerun.rules))
    params = system.settings.params
    return Feed(reader, system.columns, [], co_watched, nowhere, system.log.partitions, b"", params, ranker=ranker, rules=book), gone


def _learned_meanwhile(system: Reelrank, served: Served, scored_at: float) -> list[str]:
    """What can't be made again to the bit: a ranker whose rows were being learned while it served.

    The offset up to which rows count is read before the request ranks, and a history that is kept may have been encoded with rows that are older than that.
    """
    name, log = served.models.get(RANKER, ""), system.log
    artifact = system.artifacts.version(RANKER, name) if name else None
    if artifact is None:
        return []
    since, count = scored_at - system.settings.feed.kept_histories_stale_s, 0
    offset = max(int(artifact.manifest.about.get(ROWS_FROM, 0)), log.begin(MODEL_ROWS, PARTITION))
    while records := log.read(MODEL_ROWS, PARTITION, offset, _UPDATES_AT_ONCE):
        offset = records[-1].offset + 1
        updates = (decode_update(record.value) for record in records)
        count += sum(update.base == name and since <= update.learned_until <= scored_at + _RANKED_WITHIN_S for update in updates)
    told = f"{RANKER} {name} learned rows in the {scored_at - since:.0f} s before, {count} times: the history it had kept of this user may be of older ones"
    return [told] if count else []


def _places(served: Served, params: FeedParams) -> tuple[Place, ...]:
    places: list[Place] = []
    for shown in served.videos:
        heads = {head: np.array([chance]) for head, chance in shown.predictions.items()}
        known = {name: float(part[0]) for name, part in parts(heads, np.array([shown.features], dtype=np.float32), params).items()}
        score = shown.score if shown.score is not None else float("nan")
        places.append(Place(shown.video_id, score, known | shown.lifts, shown.sources, shown.propensity, shown.reason))
    return tuple(places)


def _differences(was: tuple[Place, ...], again: tuple[Place, ...]) -> list[str]:
    found = [] if len(was) == len(again) else [f"{len(was)} places were served, {len(again)} come out"]
    for number, (one, other) in enumerate(zip(was, again, strict=False), 1):
        if one.video_id != other.video_id:
            found.append(f"place {number}: {one.video_id} was served, {other.video_id} comes out")
        elif abs(one.score - other.score) > _SAME:
            apart = max((abs(part - other.parts.get(name, 0.0)), name) for name, part in one.parts.items())
            found.append(f"place {number}: {one.video_id} was served with score {one.score:.6f}, {other.score:.6f} comes out; most of it in {apart[1]}")
    return found


def _changed_since(system: Reelrank, rerun: Rerun) -> list[str]:
    """What of the catalogue is not as it was when the candidates of a slate were looked at."""
    proposed = set(unpack(rerun.candidates, rerun.sources, {}).rows.tolist())
    changed: list[str] = []
    after = rerun.catalogue
    while rows := system.catalog.changes(after):
        changed += [f"video {row.video.video_id} was {'taken down' if row.removed else 'published again'} since" for row in rows if row.row in proposed]
        after = rows[-1].revision
    return changed


def _removed(stages: Mapping[str, Mapping[str, float]]) -> dict[str, int]:
    return {what.removeprefix(runner.REMOVED): int(count) for stage in stages.values() for what, count in stage.items() if what.startswith(runner.REMOVED)}

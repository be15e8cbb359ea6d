"""A log of the past through the system: posted as fast as it is taken, or predicted first and then seen."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from reelrank.candidates.build_index import IndexBuilder
from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Event, Served
from reelrank.events.collector import Collector
from reelrank.events.validation import MAX_EVENTS, Batch, Decoded
from reelrank.features.columns import VideoColumns
from reelrank.features.reader import FeatureReader
from reelrank.features.stream import Stream
from reelrank.feed import Feed, FeedRequest
from reelrank.simulation import kuairand
from reelrank.simulation.kuairand import Exposures, KuaiRand
from reelrank.storage.catalog import Catalog

Ints = NDArray[np.int64]
OnProgress = Callable[[int], None]  # told how many more are done
OnScored = Callable[[range, Sequence[Served]], None]  # told the places of some exposures and the slates that they were predicted as

TOGETHER_S = 30.0  # exposures this close together are predicted from the same state
_DAY_MS = 86_400_000
_SEEN_AT_ONCE = 20_000  # moments of a past that nobody predicts
_encode = msgspec.json.Encoder().encode


class Poster(Protocol):
    """Posts a body of events, as FeedClient does."""

    def post_raw(self, body: bytes, headers: Mapping[str, str] | None = None) -> dict[str, Any]: ...


class Body(NamedTuple):
    """A request body, ready to be sent."""

    content: bytes
    events: int


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of a log that was posted."""

    accepted: int
    refused: list[dict[str, Any]]
    request_ms: NDArray[np.float64]  # (bodies,)


class ReplayError(Exception):
    """A log can't be replayed; the message says why."""


def bodies_of(events: Iterable[Event], size: int = MAX_EVENTS) -> Iterator[Body]:
    """Events in their order, as bodies of at most `size`."""
    waiting = iter(events)
    while together := list(islice(waiting, size)):
        yield Body(_encode(together), len(together))


def post_log(client: Poster, bodies: Sequence[Body], on_progress: OnProgress = lambda _: None) -> Posted:
    """Posts the bodies one after the other, so that the log holds them in their order."""
    accepted = 0
    refused: list[dict[str, Any]] = []
    request_ms = np.zeros(len(bodies))
    for place, body in enumerate(bodies):
        began = time.perf_counter()
        answer = client.post_raw(body.content, {"Content-Encoding": "identity"})  # compressing for the next process costs more than it saves
        request_ms[place] = (time.perf_counter() - began) * 1000
        accepted += answer["accepted"]
        refused += answer["refused"]
        on_progress(body.events)
    return Posted(accepted, refused, request_ms)


@dataclass(frozen=True, slots=True)
class Answer:
    """A feed that was asked for just before an exposure that became a long view."""

    place: int  # which exposure
    known: bool  # the user had already had this video on screen: no feed proposes it again
    rank: int  # of the video in the slate, -1 if it is not there
    sources: tuple[str, ...]  # that proposed it
    popular_rank: int  # among what the user had not seen, by long views of the last day; -1 beyond `count`


@dataclass(slots=True)
class Predictions:
    """What the system thought of each exposure before its outcome was known."""

    heads: dict[str, NDArray[np.float64]] = field(default_factory=dict)  # head -> (n,)
    answers: list[Answer] = field(default_factory=list)
    batches: int = 0

    def note(self, places: range, exposures: int, predicted: Sequence[Mapping[str, float]]) -> None:
        """Keeps what was predicted for some places of so many exposures."""
        for head in predicted[0]:
            if head not in self.heads:
                self.heads[head] = np.full(exposures, np.nan)
            self.heads[head][places.start : places.stop] = [prediction[head] for prediction in predicted]


class Deployment(Protocol):
    """What a log goes through: those parts of a `wiring.Reelrank`, each opened when it is first asked for."""

    @cached_property
    def catalog(self) -> Catalog: ...
    @cached_property
    def columns(self) -> VideoColumns: ...
    @cached_property
    def reader(self) -> FeatureReader: ...
    @cached_property
    def collector(self) -> Collector: ...
    @cached_property
    def stream(self) -> Stream: ...
    @cached_property
    def index_builder(self) -> IndexBuilder: ...
    @cached_property
    def feed(self) -> Feed: ...


class Prequential:
    """Predict, then see: every exposure is predicted from the log before it, then goes into the log itself.

    Exposures less than `together_s` after each other are predicted from the same state, as long as it knows all that
    their own users had done. What a user did becomes visible when the watch is over, never before; two exposures of the
    same moment never see each other. `clock` is the one that the deployment goes by.
    """

    def __init__(self, system: Deployment, clock: ManualClock, together_s: float = TOGETHER_S) -> None:
        self._system = system
        self._clock = clock
        self._together_ms = round(together_s * 1000)

    def begin(self, data: KuaiRand, users: int | None = None) -> None:
        """Takes what was there before the log: the catalogue, and what users had done. With `users` only so many have a past, those seen last."""
        self._system.catalog.publish(data.videos())
        self._system.columns.refresh()
        pasts = data.histories()
        pasts = pasts if users is None else pasts[-users:]
        self._clock.advance_to(max((past.occurred_at or 0.0 for past in pasts), default=0.0))
        self.see(pasts)

    def see(self, events: Iterable[Event]) -> None:
        """Takes events as if they had just arrived: collector, log, stream."""
        waiting = iter(events)
        while together := list(islice(waiting, MAX_EVENTS)):
            receipt = self._system.collector.accept(Batch([Decoded(index, event) for index, event in enumerate(together)], []))
            if receipt.refused:
                raise ReplayError(f"event {receipt.refused[0].event_id!r} of the log was refused: {receipt.refused[0].reason}")
        self._system.stream.catch_up()

    def run(
        self, exposures: Exposures, ask_at: Collection[int] = (), count: int = 50, seed: int = 0, on_progress: OnProgress = lambda _: None,
        predict_from: int = 0, on_scored: OnScored = lambda _places, _slates: None,
    ) -> Predictions:  # fmt: skip
        """Goes through the exposures once; at those in `ask_at` (places) a feed of `count` is asked for as well.

        The exposures before the place `predict_from` are only seen. `on_scored` is told which places were predicted, and as which slates.
        """
        predictions = Predictions()
        moments = kuairand.moments(exposures)
        popular = _Popular(exposures, self._system.columns)
        asked = set(ask_at)
        scored: dict[int, Served] = {}  # the slates that were predicted and are not in the log yet
        seen_until, day = self._see_unpredicted(exposures, moments, predict_from, on_progress), -1
        for first, end in _batches(exposures, self._together_ms, predict_from):
            start_ms = int(exposures.shown_ms[first])
            self._clock.advance_to(start_ms / 1000)
            due = int(np.searchsorted(moments.at_ms, start_ms))  # all that happened before this moment
            self.see(_due_events(exposures, moments, range(seen_until, due), scored))
            seen_until = due
            if exposures.days[first] > day:  # around midnight the log goes back and forth between two days
                self._system.index_builder.build()
                self._system.feed.refresh()
                day = int(exposures.days[first])
            together = range(first, end)
            for place in sorted(asked.intersection(together)):
                predictions.answers.append(self._ask(exposures, place, count, seed, popular))
            moments_s = (exposures.shown_ms[first:end] / 1000).tolist()
            slates = self._system.feed.score_shown([kuairand.served_at(exposures, place) for place in together], moments_s)
            scored.update(zip(together, slates, strict=True))
            predictions.note(together, len(exposures), [slate.videos[0].predictions for slate in slates])
            on_scored(together, slates)
            predictions.batches += 1
            on_progress(end - first)
        if len(exposures):
            self._clock.advance_to(int(moments.at_ms[-1]) / 1000)
        self.see(_due_events(exposures, moments, range(seen_until, len(moments.at_ms)), scored))
        return predictions

    def _see_unpredicted(self, exposures: Exposures, moments: kuairand.Moments, end: int, on_progress: OnProgress) -> int:
        """Takes all that happened before the exposure at the place `end`; returns how many moments that were."""
        if end == 0:
            return 0
        self._clock.advance_to(int(exposures.shown_ms[min(end, len(exposures) - 1)]) / 1000)
        due = int(np.searchsorted(moments.at_ms, int(exposures.shown_ms[end]))) if end < len(exposures) else len(moments.at_ms)
        for start in range(0, due, _SEEN_AT_ONCE):
            together = range(start, min(start + _SEEN_AT_ONCE, due))
            self.see(_due_events(exposures, moments, together, {}))
            on_progress(int(np.count_nonzero(~moments.ended[together.start : together.stop])))
        return due

    def _ask(self, exposures: Exposures, place: int, count: int, seed: int, popular: "_Popular") -> Answer:
        now = int(exposures.shown_ms[place]) / 1000
        self._system.feed.refresh()
        user_id = str(exposures.user_ids[place])
        row = self._system.columns.rows[str(exposures.video_ids[place])]
        seen = self._system.reader.user(user_id).seen
        slate = self._system.feed.recommend(FeedRequest(user_id=user_id, count=count, exploration=False, seed=seed), now)
        found = next((shown for shown in slate.places if shown.row == row), None)
        return Answer(
            place=place,
            known=row in seen,
            rank=-1 if found is None else found.position,
            sources=() if found is None else found.sources,
            popular_rank=popular.rank(row, seen, int(exposures.shown_ms[place]), count),
        )


class _Popular:
    """What had the most long views in the last day: the list that every feed has to beat."""

    def __init__(self, exposures: Exposures, columns: VideoColumns) -> None:
        long = np.flatnonzero(exposures.long_view)
        long = long[np.argsort(exposures.ended_ms[long], kind="stable")]
        self._ended_ms = exposures.ended_ms[long]
        self._rows = columns.rows_of(exposures.video_ids[long].tolist())
        self._videos = columns.count

    def rank(self, row: int, seen: BitMap, now_ms: int, count: int) -> int:
        """The place of a video among the `count` most popular that are not in `seen`; -1 if it is not among them."""
        begin, end = np.searchsorted(self._ended_ms, [now_ms - _DAY_MS, now_ms])
        views = np.bincount(self._rows[begin:end], minlength=self._videos)
        views[np.array(seen, dtype=np.int64)] = 0
        best = np.argsort(-views, kind="stable")[:count]
        at = np.flatnonzero((best == row) & (views[best] > 0))
        return int(at[0]) if len(at) else -1


def _batches(exposures: Exposures, together_ms: int, first: int = 0) -> Iterator[tuple[int, int]]:
    """Runs of exposures from the place `first` on that one state may predict.

    They begin less than `together_ms` after the first of the run, or with it, and nothing happened to their own users in between.
    """
    shown_ms, changed_ms = exposures.shown_ms.tolist(), _own_changes(exposures).tolist()
    while first < len(exposures):
        start_ms, end = shown_ms[first], first + 1
        while end < len(exposures) and (shown_ms[end] == start_ms or (shown_ms[end] < start_ms + together_ms and changed_ms[end] < start_ms)):
            end += 1
        yield first, end
        first = end


def _own_changes(exposures: Exposures) -> Ints:
    """When the same user was last shown something or left it before each exposure, in milliseconds; -1 where they never were: (n,)."""
    _, users = np.unique(exposures.user_ids, return_inverse=True)
    count = len(exposures)
    whose, at_ms = np.tile(users, 2), np.concatenate([exposures.shown_ms, exposures.ended_ms])
    order = np.lexsort((at_ms, whose))
    moments = np.concatenate([[-1], at_ms[order]])  # what came before place p of the order lies at p
    pair = whose[order] * (int(at_ms.max(initial=0)) + 1) + at_ms[order]
    asked = users * (int(at_ms.max(initial=0)) + 1) + exposures.shown_ms
    before = np.searchsorted(pair, asked)  # of one moment none knows the other
    mine = (before > 0) & (whose[order][np.maximum(before - 1, 0)] == users) if count else np.empty(0, dtype=np.bool_)
    return np.where(mine, moments[before], -1)


def _due_events(exposures: Exposures, moments: kuairand.Moments, due: range, scored: dict[int, Served]) -> Iterator[Event]:
    for at in due:
        place = int(moments.places[at])
        if moments.ended[at]:
            yield from kuairand.outcomes_at(exposures, place)
        else:
            yield scored.pop(place, None) or kuairand.served_at(exposures, place)
            yield kuairand.impression_at(exposures, place)

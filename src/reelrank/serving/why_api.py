"""GET /v1/why/{request_id}: a slate that was served, read back from the log."""

from collections.abc import Iterator

import msgspec
import numpy as np
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from reelrank.domain.event import Accepted, Served, ServedVideo, decode_accepted
from reelrank.domain.params import FeedParams, fingerprint
from reelrank.events.validation import quoted
from reelrank.features.definitions import FEATURES
from reelrank.ranking.scorers import parts
from reelrank.ranking.served_log import parse_request_id
from reelrank.serving.answers import Refuse, answer, parameters
from reelrank.serving.services import Services
from reelrank.storage.event_log import EVENTS, EventLog, StoredRecord

_AT_ONCE = 1_000
_BEFORE_S = 5.0  # records of concurrent writers are in order to within this
_NEARBY = 50_000  # records looked at from there on
_LAST = 200_000  # records looked at from the end, for times when a clock was set back


class WhyVideo(msgspec.Struct, frozen=True, kw_only=True):
    """One place of the slate, as it was scored."""

    video_id: str
    position: int
    sources: tuple[str, ...]
    score: float | None
    parts: dict[str, float]  # what the score is the sum of; empty where the params or the features of then are no longer known
    predictions: dict[str, float]
    features: dict[str, float]
    propensity: float | None
    reason: str


class WhyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Who chose the slate and when, what each stage did, and what was known of each video."""

    request_id: str
    user_id: str
    policy: str
    served_at: float
    params: str
    stages: dict[str, dict[str, float]]
    models: dict[str, str]  # artifact -> the version that proposed or ranked
    personalized: bool  # False: nothing of the user counted but what they must or want not to be shown
    videos: list[WhyVideo]


class WhyApi:
    """Explains slates."""

    def __init__(self, services: Services) -> None:
        self._log = services.log
        self._params = services.feed.params
        self._limiter = CapacityLimiter(1)  # a name that nobody gave has the log searched for long: not by all threads at once

    async def get(self, request: Request) -> Response:
        """The explanation of one slate."""
        parameters(request, ())
        request_id: str = request.path_params["request_id"]
        place = parse_request_id(request_id) if len(request_id) <= 64 else None
        if place is None or place[0] >= self._log.partitions:
            raise Refuse(404, f"{quoted(request_id)} is no request id of this feed; take it from the answer of /v1/feed")
        found = await to_thread.run_sync(find_served, self._log, request_id, *place, limiter=self._limiter)
        if found is None:
            raise Refuse(404, f"the log holds no slate {quoted(request_id)}; if it was served just now it is still being written: ask again in a moment")
        return answer(_explained(request_id, found, self._params))


def find_served(log: EventLog, request_id: str, partition: int, served_at: float) -> Accepted | None:
    """The slate with this id in a partition: looked for around its time, then among the newest records."""
    end = log.end(EVENTS, partition)
    start = _first_since(log, partition, served_at - _BEFORE_S, end)
    for records in (_records(log, partition, start, min(end, start + _NEARBY)), _records(log, partition, max(0, end - _LAST), end)):
        found = _slate_among(records, request_id)
        if found is not None:
            return found
    return None


def _first_since(log: EventLog, partition: int, received_at: float, end: int) -> int:
    """The first offset whose record was received at or after a moment, as far as the log is in order."""
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        record = log.read(EVENTS, partition, middle, 1)
        if record and decode_accepted(record[0].value).received_at < received_at:
            low = middle + 1
        else:
            high = middle
    return low


def _records(log: EventLog, partition: int, start: int, end: int) -> Iterator[StoredRecord]:
    while start < end and (records := log.read(EVENTS, partition, start, min(_AT_ONCE, end - start))):
        start = records[-1].offset + 1
        yield from records


def _slate_among(records: Iterator[StoredRecord], request_id: str) -> Accepted | None:
    name = request_id.encode()
    for record in records:
        if name in record.value:  # cheaper than to decode them all
            accepted = decode_accepted(record.value)
            if isinstance(accepted.event, Served) and accepted.event.request_id == request_id:
                return accepted
    return None


def _explained(request_id: str, accepted: Accepted, params: FeedParams) -> WhyAnswer:
    served = accepted.event
    assert isinstance(served, Served)
    in_force = served.params == fingerprint(params)
    names = [feature.name for feature in FEATURES]
    return WhyAnswer(
        request_id=request_id,
        user_id=served.user_id,
        policy=served.policy,
        served_at=accepted.occurred_at,
        params=served.params,
        stages=served.trace,
        models=served.models,
        personalized=served.personalized,
        videos=[
            WhyVideo(
                video_id=shown.video_id,
                position=position,
                sources=shown.sources,
                score=shown.score,
                parts=_parts(shown, params) if in_force else {},
                predictions=shown.predictions,
                features=dict(zip(names, shown.features, strict=False)),  # a slate may be older than a feature
                propensity=shown.propensity,
                reason=shown.reason,
            )
            for position, shown in enumerate(served.videos)
        ],
    )


def _parts(shown: ServedVideo, params: FeedParams) -> dict[str, float]:
    if shown.score is None or len(shown.features) != len(FEATURES):
        return {}
    heads = {head: np.array([chance]) for head, chance in shown.predictions.items()}
    known = {name: float(part[0]) for name, part in parts(heads, np.array([shown.features], dtype=np.float32), params).items()}
    return {name: round(part, 6) for name, part in (known | shown.lifts).items()}

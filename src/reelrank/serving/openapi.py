"""GET /openapi.json: the API described for machines, from the structs that decode its requests and make its answers."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

import reelrank
from reelrank.domain.event import Event
from reelrank.domain.rule import Rule, RuleDraft
from reelrank.domain.video import Id
from reelrank.events.collector import Receipt
from reelrank.events.validation import MAX_EVENTS
from reelrank.serving.answers import ErrorAnswer, answer
from reelrank.serving.controls_api import ControlsAnswer, ControlsQuery
from reelrank.serving.events_api import NoneAccepted
from reelrank.serving.feed_api import FeedAnswer, FeedQuery
from reelrank.serving.health_api import LiveAnswer, ReadyAnswer
from reelrank.serving.models_api import ModelsAnswer
from reelrank.serving.rules_api import AuditAnswer, AuditQuery, RulesAnswer
from reelrank.serving.trending_api import TrendingAnswer, TrendingQuery
from reelrank.serving.videos_api import MediaQuery, VideoAnswer
from reelrank.serving.why_api import WhyAnswer
from reelrank.storage.keys import ADMIN

_KEYS = {"bearer": {"type": "http", "scheme": "bearer"}, "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
_REF = "#/components/schemas/{name}"


@dataclass(frozen=True)
class Operation:
    """One route: what it takes and, by status, what it answers (a struct as JSON, or a media type)."""

    method: str
    path: str
    summary: str
    answers: dict[int, type | str]
    query: type[msgspec.Struct] | None = None
    in_path: str | None = None
    scope: str | None = None  # that a key needs, where keys are asked for
    body: type[msgspec.Struct] | None = None


_RULE_PROBLEMS: dict[int, type | str] = {400: ErrorAnswer, 403: ErrorAnswer, 413: ErrorAnswer, 503: ErrorAnswer}
OPERATIONS = (
    Operation(
        "post",
        "/v1/events",
        "Collect events",
        {202: Receipt, 400: NoneAccepted, 408: ErrorAnswer, 413: ErrorAnswer, 415: NoneAccepted, 429: ErrorAnswer, 503: ErrorAnswer},
        scope="events:write",
    ),
    Operation("get", "/v1/feed", "The next videos for a user", {200: FeedAnswer, 400: ErrorAnswer, 429: ErrorAnswer}, query=FeedQuery, scope="feed:read"),
    Operation("get", "/v1/trending", "What trends now", {200: TrendingAnswer, 400: ErrorAnswer}, query=TrendingQuery, scope="feed:read"),
    Operation(
        "get",
        "/v1/videos/{video_id}",
        "A video and its counters",
        {200: VideoAnswer, 400: ErrorAnswer, 404: ErrorAnswer},
        in_path="video_id",
        scope="feed:read",
    ),
    Operation(
        "get",
        "/v1/videos/{video_id}/media",
        "The file of a video, whole or in ranges",
        {200: "video/*", 206: "video/*", 302: "", 304: "", 400: ErrorAnswer, 404: ErrorAnswer, 416: ""},
        query=MediaQuery,
        in_path="video_id",
    ),
    Operation("get", "/v1/models", "Which models propose and rank", {200: ModelsAnswer, 400: ErrorAnswer}, scope="feed:read"),
    Operation("get", "/v1/why/{request_id}", "Why these videos", {200: WhyAnswer, 400: ErrorAnswer, 404: ErrorAnswer}, in_path="request_id", scope="feed:read"),
    Operation(
        "get",
        "/v1/controls",
        "What a user has said of their feed",
        {200: ControlsAnswer, 400: ErrorAnswer, 503: ErrorAnswer},
        query=ControlsQuery,
        scope="feed:read",
    ),
    Operation("get", "/v1/rules", "The business rules", {200: RulesAnswer, 400: ErrorAnswer, 503: ErrorAnswer}, scope="rules:write"),
    Operation("post", "/v1/rules", "Make a business rule", {201: Rule, **_RULE_PROBLEMS}, body=RuleDraft, scope="rules:write"),
    Operation("get", "/v1/rules/audit", "Who changed the rules", {200: AuditAnswer, 400: ErrorAnswer, 503: ErrorAnswer}, query=AuditQuery, scope="rules:write"),
    Operation(
        "put", "/v1/rules/{rule_id}", "Change a rule", {200: Rule, 404: ErrorAnswer, **_RULE_PROBLEMS}, in_path="rule_id", body=RuleDraft, scope="rules:write"
    ),
    Operation("delete", "/v1/rules/{rule_id}", "Remove a rule", {200: Rule, 404: ErrorAnswer, **_RULE_PROBLEMS}, in_path="rule_id", scope="rules:write"),
    Operation("get", "/-/live", "Whether the process runs", {200: LiveAnswer}),
    Operation("get", "/-/ready", "Whether a feed can be answered", {200: ReadyAnswer, 503: ErrorAnswer}),
    Operation("get", "/metrics", "Metrics for Prometheus", {200: "text/plain"}, scope=ADMIN),
)


def description(guarded: bool = False) -> dict[str, Any]:
    """The whole API as OpenAPI 3.1; `guarded` where keys are asked for."""
    structs: list[Any] = [kind for operation in OPERATIONS for kind in operation.answers.values() if not isinstance(kind, str)]
    queries = [operation.query for operation in OPERATIONS if operation.query is not None]
    bodies = [operation.body for operation in OPERATIONS if operation.body is not None]
    schemas, components = msgspec.json.schema_components([Event, Id, *structs, *queries, *bodies], ref_template=_REF)
    event, identifier = schemas[0], schemas[1]
    fields = {query.__name__: components.pop(query.__name__) for query in queries}
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation, fields, identifier, guarded)
    paths["/v1/events"]["post"]["requestBody"] = _batch(event)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Reelrank", "version": reelrank.__version__, "summary": "The For You feed of a short-video app: events in, a personal feed out."},
        "paths": paths,
        "components": {"schemas": components} | ({"securitySchemes": _KEYS} if guarded else {}),
    }


class OpenApi:
    """The description, made once."""

    def __init__(self, guarded: bool = False) -> None:
        self._description = description(guarded)

    async def get(self, _request: Request) -> Response:
        """The description as JSON."""
        return answer(self._description)


def _described(operation: Operation, fields: dict[str, Any], identifier: dict[str, Any], guarded: bool) -> dict[str, Any]:
    answers: dict[int, type | str] = dict(operation.answers)
    described: dict[str, Any] = {"summary": operation.summary}
    if guarded and operation.scope is not None:
        answers |= {401: ErrorAnswer, 403: ErrorAnswer, 503: ErrorAnswer}
        described["security"] = [{name: [operation.scope]} for name in _KEYS]
    elif guarded and operation.query is MediaQuery:
        answers[403] = ErrorAnswer
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"$ref": _REF.format(name=operation.body.__name__)}}}}
    described["responses"] = {str(status): _response(status, kind) for status, kind in sorted(answers.items())}
    parameters: list[dict[str, Any]] = []
    if operation.in_path is not None:
        parameters.append({"name": operation.in_path, "in": "path", "required": True, "schema": identifier})
    if operation.query is not None:
        schema = fields[operation.query.__name__]
        required = set(schema.get("required", ()))
        parameters += [{"name": name, "in": "query", "required": name in required, "schema": _given(shape)} for name, shape in schema["properties"].items()]
    return described | ({"parameters": parameters} if parameters else {})


def _given(shape: dict[str, Any]) -> dict[str, Any]:
    """The schema of a query parameter: it is left out rather than null."""
    kinds = [kind for kind in shape.get("anyOf", ()) if kind.get("type") != "null"]
    return kinds[0] if kinds else shape


def _batch(event: dict[str, Any]) -> dict[str, Any]:
    events = {"type": "array", "items": event, "minItems": 1, "maxItems": MAX_EVENTS}
    whole = {"type": "object", "properties": {"events": events}, "required": ["events"], "additionalProperties": False}
    return {"required": True, "content": {"application/json": {"schema": {"anyOf": [events, whole]}}}}


def _response(status: int, kind: type | str) -> dict[str, Any]:
    said = {"description": HTTPStatus(status).phrase}
    if isinstance(kind, str):
        return said | ({"content": {kind: {}}} if kind else {})
    return said | {"content": {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}}
